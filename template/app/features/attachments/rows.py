"""The attachments' rows. Each function is a transaction, or a part of one.

A row without a size is one whose bytes are not there yet. Whoever writes them holds a claim on
them, and the size is written together with the end of the claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import Attachment
from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, update
from sqlalchemy.engine import Row

from app.errors import Conflict
from app.i18n import _
from app.store import dead_blobs, sql
from app.store.codec import ATTACHMENT
from app.store.engine import database_now
from app.store.tables import attachments

BATCH = 500

LOST = _("The upload took too long, and was taken over. Try again.")


@dataclass(frozen=True)
class Stored:
    """An attachment, and how many bytes of it are there; None before the upload."""

    attachment: Attachment
    size: int | None


def load(connection: Connection, user_id: str, attachment_id: str) -> Stored:
    """Return the user's attachment, or raise `NotFoundError`."""
    row = _one(connection, _mine(user_id, attachment_id), attachment_id)
    return Stored(ATTACHMENT.validate_json(row.data), row.size)


def check_sendable(connection: Connection, user_id: str, attachment_ids: Sequence[str]) -> None:
    """Check that all of the attachments are the user's and uploaded.

    Raises:
        NotFoundError: one is not the user's.
        Conflict: one is not uploaded yet.
    """
    for attachment_id in attachment_ids:
        stored = load(connection, user_id, attachment_id)
        if stored.size is None:
            name = stored.attachment.name
            raise Conflict(
                _("'{name}' is not uploaded yet. Send the message when it is.", name=name)
            )


def add(connection: Connection, user_id: str, attachment: Attachment, max_waiting: int) -> None:
    """Insert an attachment, or raise `Conflict` when too many of the user's are not sent yet."""
    waiting = _of(user_id) & attachments.c.thread_id.is_(None)
    count = connection.scalar(select(func.count()).select_from(attachments).where(waiting)) or 0
    if count >= max_waiting:
        raise Conflict(
            _("You have {count} files that are not sent. Send or delete some first.", count=count)
        )
    sql.save_attachment(connection, attachment, user_id)


def add_and_claim(
    connection: Connection, user_id: str, attachment: Attachment, max_waiting: int
) -> float:
    """Insert an attachment whose bytes are about to be written; return the claim on them."""
    add(connection, user_id, attachment, max_waiting)
    return claim(connection, user_id, attachment.id)


def claim(connection: Connection, user_id: str, attachment_id: str) -> float:
    """Claim the bytes of an attachment in order to write them.

    The claim comes first: it may have had to wait for an upload that was just then completed.

    Raises:
        NotFoundError: there is no such attachment any more.
        Conflict: its bytes are there already, or are being written by another upload.
    """
    claimed = dead_blobs.claim(connection, user_id, attachment_id)
    check_not_uploaded(load(connection, user_id, attachment_id))
    if claimed is None:
        raise Conflict(_("This file is being uploaded already. Wait for the end of that."))
    return claimed


def check_not_uploaded(stored: Stored) -> None:
    if stored.size is not None:
        raise Conflict(_("This file is uploaded already. Make a new attachment for another one."))


def complete(
    connection: Connection, user_id: str, attachment: Attachment, size: int, claimed: float
) -> None:
    """Write down that the bytes are there.

    Raises:
        NotFoundError: the attachment was deleted meanwhile.
        Conflict: the claim has passed.
    """
    ours = _own(user_id, attachment.id) & attachments.c.size.is_(None)
    values = {"data": attachment.model_dump_json(exclude_none=True), "size": size}
    if connection.execute(update(attachments).where(ours).values(values)).rowcount == 0:
        raise NotFoundError(attachment.id)
    if not dead_blobs.keep(connection, user_id, attachment.id, claimed):
        raise Conflict(LOST)


def discard(connection: Connection, user_id: str, attachment_id: str, claimed: float) -> None:
    """Delete an attachment whose bytes could not be written."""
    sql.delete_attachment(connection, attachment_id, user_id)
    dead_blobs.give_up(connection, user_id, attachment_id, claimed)


def remove(connection: Connection, user_id: str, attachment_id: str) -> None:
    """Delete an attachment that is not part of a message.

    Raises:
        NotFoundError: there is no such attachment.
        Conflict: it is part of a message.
    """
    mine = _mine(user_id, attachment_id).with_for_update()
    row = _one(connection, mine, attachment_id)
    if row.thread_id is not None:
        raise Conflict(_("This file is part of a message. Delete its thread to delete it."))
    sql.delete_attachment(connection, attachment_id, user_id)


def remove_orphans(connection: Connection, hours: float) -> None:
    """Delete attachments of all users that were not sent for so many hours, up to some hundred."""
    past = attachments.c.created_at < database_now() - literal_column(str(hours * 3600))
    orphans = select(attachments.c.user_id, attachments.c.id).where(
        attachments.c.thread_id.is_(None), past
    )
    rows = connection.execute(orphans.limit(BATCH).with_for_update(skip_locked=True)).all()
    for row in rows:
        sql.delete_attachment(connection, row.id, row.user_id)


def _mine(user_id: str, attachment_id: str) -> Select[Any, Any, Any]:
    columns = select(attachments.c.data, attachments.c.size, attachments.c.thread_id)
    return columns.where(_own(user_id, attachment_id))


def _one(
    connection: Connection, statement: Select[Any, Any, Any], attachment_id: str
) -> Row[Any, Any, Any]:
    row = connection.execute(statement).first()
    if row is None:
        raise NotFoundError(attachment_id)
    return row


def _own(user_id: str, attachment_id: str) -> ColumnElement[bool]:
    return _of(user_id) & (attachments.c.id == attachment_id)


def _of(user_id: str) -> ColumnElement[bool]:
    return attachments.c.user_id == user_id
