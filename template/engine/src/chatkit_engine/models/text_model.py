"""A model that answers with text alone, for a model that no provider serves.

An `agents.Model` has to send the Responses API's events. `TextModel` makes them of words, so that a
subclass only says which words.
"""

from abc import ABC, abstractmethod
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

from chatkit_engine.store.ids import new_id


class OutputStream:
    """Makes a response's events, as the Responses API numbers them, of one output item."""

    def __init__(self, model: str) -> None:
        self._number = 0
        self._response = Response(
            id=new_id("resp"),
            created_at=0,
            model=model,
            object="response",
            output=[],
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
        )

    async def item(self, item: ResponseOutputItem) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the events of an item that is whole already, such as a tool call."""
        for event in (*self._begin(item), *self._end(item)):
            yield event

    async def text(self, words: AsyncIterator[str]) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the events of a message while its words come."""
        message = text_message("")
        place: dict[str, Any] = {"item_id": message.id, "output_index": 0, "content_index": 0}
        part = ResponseOutputText(type="output_text", text="", annotations=[])
        for event in self._begin(message.model_copy(update={"content": []})):
            yield event
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=part, sequence_number=self._next(), **place
        )
        text = ""
        async for word in words:
            text += word
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=word,
                logprobs=[],
                sequence_number=self._next(),
                **place,
            )
        part = part.model_copy(update={"text": text})
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done", part=part, sequence_number=self._next(), **place
        )
        for event in self._end(message.model_copy(update={"content": [part]})):
            yield event

    def _begin(self, item: ResponseOutputItem) -> list[TResponseStreamEvent]:
        if isinstance(item, ResponseOutputMessage):
            item = item.model_copy(update={"status": "in_progress"})
        created = ResponseCreatedEvent(
            type="response.created", response=self._response, sequence_number=self._next()
        )
        added = ResponseOutputItemAddedEvent(
            type="response.output_item.added",
            item=item,
            output_index=0,
            sequence_number=self._next(),
        )
        return [created, added]

    def _end(self, item: ResponseOutputItem) -> list[TResponseStreamEvent]:
        done = ResponseOutputItemDoneEvent(
            type="response.output_item.done",
            item=item,
            output_index=0,
            sequence_number=self._next(),
        )
        response = self._response.model_copy(update={"output": [item], "usage": _no_usage()})
        completed = ResponseCompletedEvent(
            type="response.completed", response=response, sequence_number=self._next()
        )
        return [done, completed]

    def _next(self) -> int:
        self._number += 1
        return self._number


class TextModel(Model, ABC):
    """A model of your own that answers with text: it calls no tools and hands nothing over."""

    @abstractmethod
    def words(self, instructions: str, input: list[TResponseInputItem]) -> AsyncIterator[str]:
        """Yield the answer piece by piece, each as it is to be shown.

        `input` is the conversation, oldest first, in the form of the Responses API.
        """
        ...

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
        words = self.words(system_instructions or "", _items(input))
        message = text_message("".join([word async for word in words]))
        return ModelResponse(output=[message], usage=Usage(requests=1), response_id=new_id("resp"))

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
        words = self.words(system_instructions or "", _items(input))
        async for event in OutputStream(type(self).__name__).text(words):
            yield event


def text_message(text: str) -> ResponseOutputMessage:
    """Return a whole message of the assistant's."""
    return ResponseOutputMessage(
        id=new_id("msg"),
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text=text, annotations=[])],
    )


def _items(input: str | list[TResponseInputItem]) -> list[TResponseInputItem]:
    return [{"role": "user", "content": input}] if isinstance(input, str) else input


def _no_usage() -> ResponseUsage:
    return ResponseUsage(
        input_tokens=0,
        input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
        output_tokens=0,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=0,
    )
