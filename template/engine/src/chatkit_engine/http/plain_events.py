"""A turn's events in the format of `/api/chat`, as a stream or as one JSON response.

The events of the stream:

| event | when |
|---|---|
| `thread` | the message is stored |
| `delta` | a piece of text |
| `message` | a message is complete, with its citations |
| `tool` | a tool was called, or has returned |
| `result` | a tool returned a value |
| `progress`, `notice`, `effect` | as in ChatKit |
| `item` | another item is shown, for example a widget |
| `removed` | an item was removed, for example an answer that a guardrail refused |
| `error` | the turn failed |
| `done` | everything is stored; has the turn's usage |
"""

from collections.abc import Iterator
from typing import Literal

from chatkit.types import (
    Annotation,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    EntitySource,
    ErrorEvent,
    FileSource,
    NoticeEvent,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
)
from pydantic import BaseModel, JsonValue
from pydantic_core import to_json

from chatkit_engine.errors import ModelFailed
from chatkit_engine.http.usage import TurnUsage, turn_usage
from chatkit_engine.i18n import _, translate
from chatkit_engine.run.delivery import Visibility, in_utc
from chatkit_engine.run.tool_calls import ToolEvent
from chatkit_engine.store.leases import Outcome
from chatkit_engine.store.usage import Usage

FAILED = _("The assistant could not answer. Please try again.")
SEPARATOR = "\n\n"


class CitationBase(BaseModel):
    """The source of a statement. `index` is its position in the text, in characters."""

    title: str
    index: int | None


class UrlCitation(CitationBase):
    type: Literal["url"] = "url"
    url: str


class FileCitation(CitationBase):
    type: Literal["file"] = "file"
    filename: str


class EntityCitation(CitationBase):
    type: Literal["entity"] = "entity"
    id: str


Citation = UrlCitation | FileCitation | EntityCitation


class ToolResult(BaseModel):
    """The value that a tool returned."""

    tool: str
    data: JsonValue


class ChatReply(BaseModel):
    """The assistant's answer. `message` contains its messages, separated by blank lines.

    `usage` is null if the model reported none.
    """

    thread_id: str
    message_id: str
    message: str
    citations: list[Citation]
    results: list[ToolResult]
    usage: TurnUsage | None


class PlainEvents:
    """Converts ChatKit's events, and collects what the JSON response needs."""

    def __init__(self, language: str) -> None:
        self._failed = translate(FAILED, language)
        self._visibility = Visibility()
        self._thread_id = ""
        self._messages: dict[str, AssistantMessageItem] = {}
        self._results: list[ToolResult] = []
        self._error: ErrorEvent | None = None
        self._usage: TurnUsage | None = None

    def encode(self, event: ThreadStreamEvent | ToolEvent) -> bytes:
        """Return the event as bytes, or nothing if the format has no such event."""
        if isinstance(event, ToolEvent):
            return self._encode_tool(event)
        return self._encode_visible(event) if self._visibility.is_visible(event) else b""

    def _encode_visible(self, event: ThreadStreamEvent) -> bytes:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as update):
                return _sse("delta", {"message_id": event.item_id, "text": update.delta})
            case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                return self._encode_item(event)
            case ThreadItemRemovedEvent():
                self._messages.pop(event.item_id, None)
                return _sse("removed", {"id": event.item_id})
            case ErrorEvent():
                self._error = event
                error = {"message": event.message or self._failed, "retry": event.allow_retry}
                return _sse("error", error)
            case _:
                return _encode_side_event(event)

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        """Return the event `done`."""
        self._usage = turn_usage(usage)
        done = {"thread_id": self._thread_id, "outcome": outcome, "usage": self._usage}
        return _sse("done", done)

    def reply(self) -> ChatReply:
        """Return the JSON response, after the turn has ended.

        Raises:
            ModelFailed: the turn failed. The answer so far is in the thread.
        """
        if self._error is not None:
            detail = self._error.message or self._failed
            raise ModelFailed(detail, thread_id=self._thread_id, retry=self._error.allow_retry)
        message, citations = "", list[Citation]()
        for item in self._messages.values():
            message += SEPARATOR if message else ""
            citations += citations_of(item, len(message))
            message += _text(item)
        return ChatReply(
            thread_id=self._thread_id,
            message_id=next(reversed(self._messages), ""),
            message=message,
            citations=citations,
            results=self._results,
            usage=self._usage,
        )

    def _encode_item(self, event: ThreadItemDoneEvent | ThreadItemReplacedEvent) -> bytes:
        match event.item:
            # The first item of a new message's turn, and the sign that it is stored.
            case UserMessageItem() as item:
                self._thread_id = item.thread_id
                return _sse("thread", {"thread_id": item.thread_id, "message_id": item.id})
            case AssistantMessageItem() as item:
                self._messages[item.id] = item
                citations = list(citations_of(item))
                message = {"message_id": item.id, "text": _text(item), "citations": citations}
                return _sse("message", message)
            case _:
                dumped = in_utc(event).model_dump(mode="json", exclude_none=True)
                return _sse("item", dumped["item"])

    def _encode_tool(self, event: ToolEvent) -> bytes:
        call = event.call
        status = "answered" if event.done else "called"
        encoded = _sse("tool", {"name": call.name, "status": status})
        if not event.done or call.result is None:
            return encoded
        self._results.append(ToolResult(tool=call.name, data=call.result))
        return encoded + _sse("result", self._results[-1])


def citations_of(item: AssistantMessageItem, offset: int = 0) -> Iterator[Citation]:
    """Yield a message's citations. `offset` is added to their positions."""
    for part in item.content:
        for annotation in part.annotations:
            yield _citation(annotation, offset)
        offset += len(part.text)


def _citation(annotation: Annotation, offset: int) -> Citation:
    source = annotation.source
    index = None if annotation.index is None else annotation.index + offset
    match source:
        case URLSource():
            return UrlCitation(title=source.title, index=index, url=source.url)
        case FileSource():
            return FileCitation(title=source.title, index=index, filename=source.filename)
        case EntitySource():
            return EntityCitation(title=source.title, index=index, id=source.id)


def _encode_side_event(event: ThreadStreamEvent) -> bytes:
    """Encode an event outside the conversation. An empty progress only ends the previous one."""
    match event:
        case ProgressUpdateEvent():
            return _sse("progress", {"text": event.text}) if event.text else b""
        case NoticeEvent():
            notice = {"level": event.level, "title": event.title, "message": event.message}
            return _sse("notice", notice)
        case ClientEffectEvent():
            return _sse("effect", {"name": event.name, "data": event.data})
        case _:
            return b""


def _text(item: AssistantMessageItem) -> str:
    return "".join(part.text for part in item.content)


def _sse(event: str, data: object) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + to_json(data) + b"\n\n"
