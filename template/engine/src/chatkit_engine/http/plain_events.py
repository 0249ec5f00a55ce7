"""Citations as plain clients read them.

A turn's events as `/api/chat` gives them, as a stream or as one JSON answer.

The stream's events have names: `thread` once the message is stored; `delta` for text as it comes,
`message` for a whole message with its citations; `tool` when a tool is called and when it has
answered, `result` for what it answered as a value; `progress`, `notice` and `effect`; `item` for
what is shown besides messages, such as a widget; `removed` for what was taken back; `error`; and
`done` when everything is stored, with what the model has used.
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
BETWEEN = "\n\n"


class CitationBase(BaseModel):
    """What a place in a text is based on. `index` counts the text's characters up to there."""

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


def citations_of(item: AssistantMessageItem, offset: int = 0) -> Iterator[Citation]:
    """Yield a message's citations; `offset` is where its text begins in a longer one."""
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


class ToolResult(BaseModel):
    """What a tool answered as a value."""

    tool: str
    data: JsonValue


class ChatReply(BaseModel):
    """The assistant's answer. `message` joins its messages' texts by a blank line.

    `usage` is null when the model reported none.
    """

    thread_id: str
    message_id: str
    message: str
    citations: list[Citation]
    results: list[ToolResult]
    usage: TurnUsage | None


class PlainEvents:
    """Turns ChatKit's events into plain ones, and remembers what a JSON answer needs."""

    def __init__(self, language: str) -> None:
        self._failed = translate(FAILED, language)
        self._visibility = Visibility()
        self._thread_id = ""
        self._messages: dict[str, AssistantMessageItem] = {}
        self._results: list[ToolResult] = []
        self._error: ErrorEvent | None = None
        self._usage: TurnUsage | None = None

    def encode(self, event: ThreadStreamEvent | ToolEvent) -> bytes:
        if isinstance(event, ToolEvent):
            return self._tool(event)
        return self._shown(event) if self._visibility.shows(event) else b""

    def _shown(self, event: ThreadStreamEvent) -> bytes:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as update):
                return _sse("delta", {"message_id": event.item_id, "text": update.delta})
            case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                return self._item(event)
            case ThreadItemRemovedEvent():
                self._messages.pop(event.item_id, None)
                return _sse("removed", {"id": event.item_id})
            case ErrorEvent():
                self._error = event
                told = {"message": event.message or self._failed, "retry": event.allow_retry}
                return _sse("error", told)
            case _:
                return _aside(event)

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        self._usage = turn_usage(usage)
        done = {"thread_id": self._thread_id, "outcome": outcome, "usage": self._usage}
        return _sse("done", done)

    def reply(self) -> ChatReply:
        if self._error is not None:
            detail = self._error.message or self._failed
            raise ModelFailed(detail, thread_id=self._thread_id, retry=self._error.allow_retry)
        message, citations = "", list[Citation]()
        for item in self._messages.values():
            message += BETWEEN if message else ""
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

    def _item(self, event: ThreadItemDoneEvent | ThreadItemReplacedEvent) -> bytes:
        match event.item:
            case UserMessageItem() as item:
                self._thread_id = item.thread_id
                return _sse("thread", {"thread_id": item.thread_id, "message_id": item.id})
            case AssistantMessageItem() as item:
                self._messages[item.id] = item
                citations = list(citations_of(item))
                told = {"message_id": item.id, "text": _text(item), "citations": citations}
                return _sse("message", told)
            case _:
                shown = in_utc(event).model_dump(mode="json", exclude_none=True)
                return _sse("item", shown["item"])

    def _tool(self, event: ToolEvent) -> bytes:
        call = event.call
        told = _sse("tool", {"name": call.name, "status": "answered" if event.done else "called"})
        if not event.done or call.result is None:
            return told
        self._results.append(ToolResult(tool=call.name, data=call.result))
        return told + _sse("result", self._results[-1])


def _aside(event: ThreadStreamEvent) -> bytes:
    """Encode what is told beside the conversation. An empty progress only ends the one before."""
    match event:
        case ProgressUpdateEvent():
            return _sse("progress", {"text": event.text}) if event.text else b""
        case NoticeEvent():
            told = {"level": event.level, "title": event.title, "message": event.message}
            return _sse("notice", told)
        case ClientEffectEvent():
            return _sse("effect", {"name": event.name, "data": event.data})
        case _:
            return b""


def _text(item: AssistantMessageItem) -> str:
    return "".join(part.text for part in item.content)


def _sse(event: str, data: object) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + to_json(data) + b"\n\n"
