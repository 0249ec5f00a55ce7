"""The demo model: answers with no key and no network, through the Agents SDK's own interface.

It streams word by word, calls the tool and makes the handoff whose name the message spells out
("transfer to writer"), cites by repeating a tool's marks, and fills a schema where one is asked
for. The words `/fail` and `/slow` make it fail midway and write slowly, so that a front end can be
tried.
"""

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
from openai.types.responses.response_prompt_param import ResponsePromptParam

from app.providers.base import ChatModel
from app.providers.demo_replies import NOTICE, Conversation, reply_to
from app.providers.demo_stream import DemoStream
from app.settings import Settings
from app.store.ids import new_id

WORD_SECONDS = 0.02
SLOW_WORD_SECONDS = 0.5


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
        pause = SLOW_WORD_SECONDS if "/slow" in message else self._word_seconds
        async for event in DemoStream(output, pause, fails="/fail" in message).events():
            yield event


def _schema(wanted: AgentOutputSchemaBase | None) -> dict[str, object] | None:
    return None if wanted is None or wanted.is_plain_text() else wanted.json_schema()
