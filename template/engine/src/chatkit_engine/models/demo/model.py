"""The demo model: answers with no key and no network, through the Agents SDK's own interface.

It streams word by word, calls the tool and makes the handoff whose name the message spells out
("transfer to writer"), cites by repeating a tool's marks, and fills a schema where one is asked
for. The words `/fail` and `/slow` make it fail midway and write slowly, so that a front end can be
tried.
"""

import asyncio
import re
from collections.abc import AsyncIterator

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
from openai.types.responses import ResponseOutputMessage
from openai.types.responses.response_prompt_param import ResponsePromptParam

from chatkit_engine.models.chat_model import ChatModel
from chatkit_engine.models.demo.replies import NOTICE, Conversation, reply_to
from chatkit_engine.models.text_model import OutputStream
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.ids import new_id

WORD_SECONDS = 0.02
SLOW_WORD_SECONDS = 0.5


class DemoFailure(Exception):
    """What `/fail` asks for."""


def create_demo_model(settings: Settings) -> ChatModel:
    return ChatModel(name="demo", model=DemoModel(), notice=NOTICE)


class DemoModel(Model):
    """A model that needs nothing. `word_seconds` is the pause between two words."""

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
        stream = OutputStream("demo")
        if isinstance(output, ResponseOutputMessage):
            pause = SLOW_WORD_SECONDS if "/slow" in message else self._word_seconds
            events = stream.text(_paced(output, pause, fails="/fail" in message))
        else:
            events = stream.item(output)
        async for event in events:
            yield event


async def _paced(
    message: ResponseOutputMessage, word_seconds: float, *, fails: bool
) -> AsyncIterator[str]:
    """Yield a message's words, each after a pause. `fails` ends it midway."""
    text = "".join(part.text for part in message.content if part.type == "output_text")
    words = re.findall(r"\S+\s*", text)
    for position, word in enumerate(words):
        if fails and position >= len(words) // 2:
            raise DemoFailure("asked to fail with /fail")
        await asyncio.sleep(word_seconds)
        yield word


def _schema(wanted: AgentOutputSchemaBase | None) -> dict[str, object] | None:
    return None if wanted is None or wanted.is_plain_text() else wanted.json_schema()
