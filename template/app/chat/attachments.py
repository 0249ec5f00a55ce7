"""What the chat needs of a feature that gives messages attachments, and how links go out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    FileAttachment,
    GeneratedImage,
    GeneratedImageItem,
    ImageAttachment,
    Page,
    Thread,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    UserMessageItem,
)
from openai.types.responses import ResponseInputContentParam

from app.context import RequestContext

Contents = Mapping[str, ResponseInputContentParam]
Linked = Attachment | GeneratedImage


class Attachments(Protocol):
    """The users' attachments."""

    @property
    def store(self) -> AttachmentStore[RequestContext]:
        """What answers ChatKit's `attachments.create` and `attachments.delete`."""
        ...

    async def check(self, attachment_ids: Sequence[str], context: RequestContext) -> None:
        """Check that a message may have these attachments. Nothing is stored yet.

        Raises:
            NotFoundError: one is not the user's.
            BadRequest, Conflict: it may not, or not yet.
        """
        ...

    async def contents(self, history: Sequence[ThreadItem], context: RequestContext) -> Contents:
        """Return what the model reads of the history's attachments, by the attachment's id."""
        ...

    def with_links(self, attachment: Attachment, context: RequestContext) -> Attachment:
        """Return the attachment with links that work now; those that are stored do not."""
        ...


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
