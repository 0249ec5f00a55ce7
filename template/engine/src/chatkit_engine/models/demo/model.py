"""The demo model: it answers without a key or a network, through the Agents SDK's interface.

It streams word by word. It calls the tool or makes the handoff that the message names, for example
"transfer to writer", cites sources by repeating a tool's marks, and fills in a schema if one is
given. `/fail` in a message makes it fail midway and `/slow` makes it slow, to try out a front end.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from agents import (
    AgentOutputSchemaBase,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    Tool,
    TResponseInputItem,
    Usage,
)
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
    ResponseUsage,
)
from openai.types.responses.response_prompt_param import ResponsePromptParam
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from chatkit_engine.models.chat_model import ChatModel
from chatkit_engine.models.demo.replies import NOTICE, Conversation, reply_to
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.ids import new_id

WORD_SECONDS = 0.02
SLOW_WORD_SECONDS = 0.5


class DemoFailure(Exception):
    """The failure that `/fail` requests."""


def create_demo_model(settings: Settings) -> ChatModel:
    return ChatModel(name="demo", model=DemoModel(), notice=NOTICE)


class DemoModel(Model):
    """The demo model. `word_seconds` is the pause before each word."""

    def __init__(self, word_seconds: float = WORD_SECONDS) -> None:
        self._word_seconds = word_seconds

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        output = reply_to(Conversation(input), tools, handoffs, _schema(output_schema))
        return ModelResponse(output=[output], usage=Usage(requests=1), response_id=new_id("resp"))

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        conversation = Conversation(input)
        message = conversation.message
        output = reply_to(conversation, tools, handoffs, _schema(output_schema))
        pause = SLOW_WORD_SECONDS if "/slow" in message else self._word_seconds
        async for event in DemoStream(output, pause, fails="/fail" in message).events():
            yield event


class DemoStream:
    """Streams one output item, as the Responses API does.

    `word_seconds` is the pause before each word; `fails` makes it raise midway.
    """

    def __init__(self, output: ResponseOutputItem, word_seconds: float, *, fails: bool) -> None:
        self._output = output
        self._word_seconds = word_seconds
        self._fails = fails
        self._number = 0
        self._response = Response(
            id=new_id("resp"),
            created_at=0,
            model="demo",
            object="response",
            output=[],
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
        )

    async def events(self) -> AsyncIterator[TResponseStreamEvent]:
        yield ResponseCreatedEvent(
            type="response.created", response=self._response, sequence_number=self._next()
        )
        yield ResponseOutputItemAddedEvent(
            type="response.output_item.added",
            item=self._started(),
            output_index=0,
            sequence_number=self._next(),
        )
        if isinstance(self._output, ResponseOutputMessage):
            async for event in self._text_events(self._output):
                yield event
        yield ResponseOutputItemDoneEvent(
            type="response.output_item.done",
            item=self._output,
            output_index=0,
            sequence_number=self._next(),
        )
        done = self._response.model_copy(update={"output": [self._output], "usage": _no_usage()})
        yield ResponseCompletedEvent(
            type="response.completed", response=done, sequence_number=self._next()
        )

    async def _text_events(
        self, message: ResponseOutputMessage
    ) -> AsyncIterator[TResponseStreamEvent]:
        part = ResponseOutputText(type="output_text", text="", annotations=[])
        position: dict[str, Any] = {"item_id": message.id, "output_index": 0, "content_index": 0}
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=part, sequence_number=self._next(), **position
        )
        text = "".join(part.text for part in message.content if part.type == "output_text")
        words = re.findall(r"\S+\s*", text)
        for index, word in enumerate(words):
            if self._fails and index >= len(words) // 2:
                raise DemoFailure("/fail was requested")
            await asyncio.sleep(self._word_seconds)
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=word,
                logprobs=[],
                sequence_number=self._next(),
                **position,
            )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done",
            part=part.model_copy(update={"text": text}),
            sequence_number=self._next(),
            **position,
        )

    def _started(self) -> ResponseOutputItem:
        if isinstance(self._output, ResponseOutputMessage):
            return self._output.model_copy(update={"content": [], "status": "in_progress"})
        return self._output

    def _next(self) -> int:
        self._number += 1
        return self._number


def _no_usage() -> ResponseUsage:
    return ResponseUsage(
        input_tokens=0,
        input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
        output_tokens=0,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=0,
    )


def _schema(wanted: AgentOutputSchemaBase | None) -> dict[str, object] | None:
    return None if wanted is None or wanted.is_plain_text() else wanted.json_schema()
