"""What the chat expects of the feature that lets messages have attachments."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatkit.store import AttachmentStore
from chatkit.types import Attachment, ThreadItem
from openai.types.responses import ResponseInputContentParam

from chatkit_engine.context import RequestContext
from chatkit_engine.i18n import _

NO_ATTACHMENTS = _("This assistant does not accept attachments.")
Contents = Mapping[str, ResponseInputContentParam]


class Attachments(Protocol):
    """The users' attachments."""

    @property
    def store(self) -> AttachmentStore[RequestContext]:
        """The store that handles ChatKit's `attachments.create` and `attachments.delete`."""
        ...

    async def check(self, attachment_ids: Sequence[str], context: RequestContext) -> None:
        """Check that a new message may have these attachments. Nothing is stored yet.

        Raises:
            NotFoundError: one of them does not exist or is not the user's.
            BadRequest: one of them is not allowed.
            Conflict: one of them is not uploaded yet, or belongs to another thread.
        """
        ...

    async def contents(self, history: Sequence[ThreadItem], context: RequestContext) -> Contents:
        """Return what the model reads of the attachments in the history, by attachment id."""
        ...

    def with_links(self, attachment: Attachment, context: RequestContext) -> Attachment:
        """Return the attachment with links that work now. Stored links do not: they expire."""
        ...
