"""Attachments as the protocol has them: their rows, their metadata and their file types."""

from collections.abc import Sequence
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import Attachment, FileAttachment, ImageAttachment
from pydantic import AnyUrl, BaseModel
from sqlalchemy import ColumnElement, Connection, or_, select, update

from chatkit_engine.errors import Conflict
from chatkit_engine.i18n import _
from chatkit_engine.media_types import IMAGES
from chatkit_engine.store.blob_cleanup import delete_attachments
from chatkit_engine.store.items import ATTACHMENT
from chatkit_engine.store.tables import attachments
from chatkit_engine.store.threads import load_thread
from chatkit_engine.store.upsert import execute_upsert, upsert

_SAVE_ATTACHMENT = upsert(attachments, ["id"], ["thread_id", "data"])


class AttachmentDetails(BaseModel):
    """What the engine keeps in an attachment's metadata, which is never sent to a client.

    `size` is in bytes. A width and height of 0 mean that they are unknown.
    """

    size: int
    uploaded: bool
    width: int = 0
    height: int = 0


def make_attachment(
    attachment_id: str, name: str, mime_type: str, details: AttachmentDetails
) -> Attachment:
    """Return an attachment without links. Those are signed when the attachment is sent."""
    fields: dict[str, Any] = {
        "id": attachment_id,
        "name": name,
        "mime_type": mime_type,
        "metadata": details.model_dump(),
    }
    if mime_type in IMAGES:
        return ImageAttachment(**fields, preview_url=AnyUrl(f"attachment:{attachment_id}"))
    return FileAttachment(**fields)


def details_of(attachment: Attachment) -> AttachmentDetails:
    return AttachmentDetails.model_validate(attachment.metadata)


def load_attachment(connection: Connection, attachment_id: str, user_id: str) -> Attachment:
    columns = select(attachments.c.data, attachments.c.thread_id)
    row = connection.execute(columns.where(_is_attachment(attachment_id, user_id))).first()
    if row is None:
        raise NotFoundError(attachment_id)
    return ATTACHMENT.validate_json(row.data).model_copy(update={"thread_id": row.thread_id})


def save_attachment(connection: Connection, attachment: Attachment, user_id: str) -> None:
    """Insert or update an attachment.

    Raises:
        NotFoundError: the id or the thread belongs to another user.
    """
    if attachment.thread_id is not None:
        load_thread(connection, attachment.thread_id, user_id)
    values = {
        "id": attachment.id,
        "user_id": user_id,
        "thread_id": attachment.thread_id,
        "data": attachment.model_dump_json(exclude_none=True),
        "reserved": int((attachment.metadata or {}).get("size") or 0),
    }
    if execute_upsert(connection, _SAVE_ATTACHMENT, values) == 0:
        raise NotFoundError(attachment.id)


def claim_attachments(
    connection: Connection, claimed: Sequence[Attachment], thread_id: str, user_id: str
) -> None:
    """Assign attachments to a thread.

    Raises:
        Conflict: one belongs to another thread.
        NotFoundError: one was deleted, or belongs to another user.
    """
    for attachment in claimed:
        is_free = or_(attachments.c.thread_id.is_(None), attachments.c.thread_id == thread_id)
        claim = update(attachments).where(_is_attachment(attachment.id, user_id), is_free)
        if connection.execute(claim.values(thread_id=thread_id)).rowcount == 0:
            load_attachment(connection, attachment.id, user_id)
            raise Conflict(
                _("'{name}' belongs to another thread. Upload it again.", name=attachment.name)
            )


def delete_attachment(connection: Connection, attachment_id: str, user_id: str) -> None:
    delete_attachments(connection, _is_attachment(attachment_id, user_id))


def _is_attachment(attachment_id: str, user_id: str) -> ColumnElement[bool]:
    return (attachments.c.id == attachment_id) & (attachments.c.user_id == user_id)
