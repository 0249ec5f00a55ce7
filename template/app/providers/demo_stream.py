"""One output item of the demo model, streamed as the Responses API does it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

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
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from app.store.ids import new_id


class DemoFailure(Exception):
    """What `/fail` asks for."""


class DemoStream:
    """Streams an item. `word_seconds` is the pause before each word; `fails` ends it midway."""

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
        text = "".join(part.text for part in message.content if part.type == "output_text")
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
