"""NEW: chatkit_engine.assistant.attachments

What the chat needs of a feature that gives messages attachments, and how links go out."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    ThreadItem,
)
from openai.types.responses import ResponseInputContentParam

from chatkit_engine.context import RequestContext
from chatkit_engine.i18n import _

NO_ATTACHMENTS = _("This assistant takes no attachments.")
Contents = Mapping[str, ResponseInputContentParam]


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
