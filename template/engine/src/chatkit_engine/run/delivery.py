"""NEW: chatkit_engine.run.delivery

Which of a turn's events a client may see.

Our own messages in a stream, in the user's language."""

from collections.abc import Callable
from typing import Any, cast

from chatkit.types import (
    Attachment,
    ErrorEvent,
    FileAttachment,
    GeneratedImage,
    GeneratedImageItem,
    ImageAttachment,
    NoticeEvent,
    Page,
    Thread,
    ThreadCreatedEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
)

from chatkit_engine.i18n import translate
from chatkit_engine.run.tool_calls import ToolEvent
from chatkit_engine.store.items import is_hidden, to_utc


def in_utc(event: ThreadStreamEvent) -> ThreadStreamEvent:
    """Return the event with its times in UTC: the SDK's own are naive and local."""
    match event:
        case ThreadCreatedEvent() | ThreadUpdatedEvent():
            utc = {"created_at": to_utc(event.thread.created_at)}
            return event.model_copy(update={"thread": event.thread.model_copy(update=utc)})
        case ThreadItemAddedEvent() | ThreadItemDoneEvent() | ThreadItemReplacedEvent():
            utc = {"created_at": to_utc(event.item.created_at)}
            return event.model_copy(update={"item": event.item.model_copy(update=utc)})
        case _:
            return event


class Visibility:
    """Follows one turn, and holds back hidden items, whichever event they come with."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def shows(self, event: ThreadStreamEvent | ToolEvent) -> bool:
        match event:
            case ThreadItemAddedEvent() | ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                if is_hidden(event.item):
                    self._hidden.add(event.item.id)
                    return False
                return True
            case ThreadItemUpdatedEvent() | ThreadItemRemovedEvent():
                return event.item_id not in self._hidden
            case ToolEvent():
                return False
            case _:
                return True


def localized(event: ThreadStreamEvent, language: str) -> ThreadStreamEvent:
    """Return the event in the language; what no catalogue has stays as it is.

    The protocol's types keep a text alone: one with values in it is translated where it is made.
    """
    match event:
        case ErrorEvent(message=str(message)):
            return event.model_copy(update={"message": translate(message, language)})
        case NoticeEvent():
            title = event.title and translate(event.title, language)
            words = {"message": translate(event.message, language), "title": title}
            return event.model_copy(update=words)
        case _:
            return event


Linked = Attachment | GeneratedImage


def with_links(answer: Any, link: Callable[[Linked], Linked]) -> Any:
    """Return an answer or event with each of its attachments and images as `link` returns it."""
    if isinstance(answer, FileAttachment | ImageAttachment | GeneratedImage):
        return link(answer)
    changes = _changes(answer, link)
    return answer.model_copy(update=changes) if changes else answer


def _changes(answer: Any, link: Callable[[Linked], Linked]) -> dict[str, Any]:
    match answer:
        case UserMessageItem() if answer.attachments:
            return {"attachments": [link(each) for each in answer.attachments]}
        case GeneratedImageItem() if answer.image:
            return {"image": link(answer.image)}
        case ThreadItemDoneEvent() | ThreadItemAddedEvent() | ThreadItemReplacedEvent():
            return {"item": with_links(answer.item, link)}
        case Thread():
            return {"items": with_links(answer.items, link)}
        case Page():
            page = cast(Page[Any], answer)
            return {"data": [with_links(each, link) for each in page.data]}
        case _:
            return {}
