"""The demo model: answers with no key and no network, through the Agents SDK's own interface.

It streams word by word, and calls the tool whose name the message spells out. The words
`/fail` and `/slow` make it fail midway and write slowly, so that a front end can be tried.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, cast

from agents import (
    AgentOutputSchemaBase,
    FunctionTool,
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
    ResponseFunctionToolCall,
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
from pydantic_core import to_json

from app.providers.base import ChatModel
from app.settings import Settings
from app.store.ids import new_id

NOTICE = (
    "No model key is set, so a demo model answers. Set LLM_PROVIDER and its key for a real one."
)
WORD_SECONDS = 0.02
SLOW_WORD_SECONDS = 0.5
FILLERS = frozenset({"current", "get", "my", "the", "user"})


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
        output = _decide(Conversation(input), tools)
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
        output = _decide(conversation, tools)
        async for event in _Stream(output, self._pace(conversation), conversation).events():
            yield event

    def _pace(self, conversation: "Conversation") -> float:
        return SLOW_WORD_SECONDS if "/slow" in conversation.message else self._word_seconds


class Conversation:
    """What the demo model reads: the last message, and what a tool answered to it."""

    def __init__(self, input: str | list[TResponseInputItem]) -> None:
        self.message = ""
        self.messages = 0
        self.tool_output: str | None = None
        turns = [{"role": "user", "content": input}] if isinstance(input, str) else input
        for item in cast(list[dict[str, Any]], turns):
            self._read(item)

    def _read(self, item: dict[str, Any]) -> None:
        if item.get("type") == "function_call_output":
            self.tool_output = str(item["output"])
        elif item.get("role") == "user" and not (text := _text(item)).startswith("Hidden context"):
            self.message = text
            self.messages += 1
            self.tool_output = None


def _text(item: dict[str, Any]) -> str:
    content = item["content"]
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content)


def _decide(conversation: Conversation, tools: list[Tool]) -> ResponseOutputItem:
    """Call a tool that the message spells out, once; else answer."""
    tool = _spelled_out(conversation.message, tools)
    if tool is None or conversation.tool_output is not None:
        return _message(_answer(conversation))
    arguments = _arguments(tool.params_json_schema, conversation.message)
    return ResponseFunctionToolCall(
        id=new_id("fc"),
        call_id=new_id("call"),
        name=tool.name,
        arguments=to_json(arguments).decode(),
        type="function_call",
    )


def _answer(conversation: Conversation) -> str:
    if conversation.tool_output is not None:
        answer = f"The tool answered: {conversation.tool_output}"
    else:
        answer = f"You said: {conversation.message}"
    return f"({NOTICE})\n\n{answer}" if conversation.messages == 1 else answer


def _spelled_out(message: str, tools: list[Tool]) -> FunctionTool | None:
    """Return the tool most of whose name's words the message has, if it has all that count."""
    said = _words(message)
    named = [
        (len(words), tool)
        for tool in tools
        if isinstance(tool, FunctionTool)
        and (words := _words(tool.name.replace("_", " ")) - FILLERS)
        and words <= said
    ]
    return max(named, key=lambda pair: pair[0])[1] if named else None


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())}


def _arguments(schema: dict[str, Any], message: str) -> dict[str, Any]:
    """Fill a tool's parameters: text gets what follows the first colon, or the whole message."""
    subject = message.partition(":")[2].strip() or message
    properties = cast(dict[str, dict[str, Any]], schema.get("properties", {}))
    return {name: _argument(rule, subject) for name, rule in properties.items()}


def _argument(rule: dict[str, Any], subject: str) -> Any:
    if "default" in rule or "anyOf" in rule:
        return rule.get("default")
    if "enum" in rule:
        return rule["enum"][0]
    empty: dict[str, Any] = {"integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}
    return empty.get(rule.get("type", ""), subject)


def _message(text: str) -> ResponseOutputMessage:
    return ResponseOutputMessage(
        id=new_id("msg"),
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text=text, annotations=[])],
    )


class _Stream:
    """One output item as the Responses API streams it."""

    def __init__(
        self, output: ResponseOutputItem, word_seconds: float, conversation: Conversation
    ) -> None:
        self._output = output
        self._word_seconds = word_seconds
        self._fails = "/fail" in conversation.message
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
            item=self._begun(),
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
        place: dict[str, Any] = {"item_id": message.id, "output_index": 0, "content_index": 0}
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=part, sequence_number=self._next(), **place
        )
        text = _text(message.model_dump())
        words = re.findall(r"\S+\s*", text)
        for position, word in enumerate(words):
            if self._fails and position >= len(words) // 2:
                raise DemoFailure("asked to fail with /fail")
            await asyncio.sleep(self._word_seconds)
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=word,
                logprobs=[],
                sequence_number=self._next(),
                **place,
            )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done",
            part=part.model_copy(update={"text": text}),
            sequence_number=self._next(),
            **place,
        )

    def _begun(self) -> ResponseOutputItem:
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
