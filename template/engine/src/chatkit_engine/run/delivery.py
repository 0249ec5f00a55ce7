"""Prepares a turn's events for the client: visible, in the user's language, in UTC, with links."""

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

LinkedFile = Attachment | GeneratedImage


class Visibility:
    """Follows one turn, and filters out the events of hidden items and of tool calls.

    It has a state, because updates of an item carry its id only.
    """

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def is_visible(self, event: ThreadStreamEvent | ToolEvent) -> bool:
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


def in_utc(event: ThreadStreamEvent) -> ThreadStreamEvent:
    """Return the event with its times in UTC. Those that the SDK sets are naive local times."""
    match event:
        case ThreadCreatedEvent() | ThreadUpdatedEvent():
            utc = {"created_at": to_utc(event.thread.created_at)}
            return event.model_copy(update={"thread": event.thread.model_copy(update=utc)})
        case ThreadItemAddedEvent() | ThreadItemDoneEvent() | ThreadItemReplacedEvent():
            utc = {"created_at": to_utc(event.item.created_at)}
            return event.model_copy(update={"item": event.item.model_copy(update=utc)})
        case _:
            return event


def localized(event: ThreadStreamEvent, language: str) -> ThreadStreamEvent:
    """Return the event with its texts translated, if a catalogue has them.

    A text with values must be translated where it is created: the protocol's types are pydantic
    models, which reduce a `Message` to a plain string.
    """
    match event:
        case ErrorEvent(message=str(message)):
            return event.model_copy(update={"message": translate(message, language)})
        case NoticeEvent():
            title = event.title and translate(event.title, language)
            texts = {"message": translate(event.message, language), "title": title}
            return event.model_copy(update=texts)
        case _:
            return event


def with_links(answer: Any, link: Callable[[LinkedFile], LinkedFile]) -> Any:
    """Return a response or event in which `link` replaced each attachment and generated image."""
    if isinstance(answer, FileAttachment | ImageAttachment | GeneratedImage):
        return link(answer)
    changes = _linked_fields(answer, link)
    return answer.model_copy(update=changes) if changes else answer


def _linked_fields(answer: Any, link: Callable[[LinkedFile], LinkedFile]) -> dict[str, Any]:
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
