"""The SQL statements for attachments. Each function runs within one transaction."""

from collections.abc import Sequence
from typing import NamedTuple

from chatkit.store import NotFoundError
from chatkit.types import Attachment
from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from chatkit_engine.errors import Conflict
from chatkit_engine.i18n import _
from chatkit_engine.store import files
from chatkit_engine.store.attachments import delete_attachment, details_of, save_attachment
from chatkit_engine.store.database import database_now
from chatkit_engine.store.storage import check_room_for_file
from chatkit_engine.store.tables import attachments

BATCH = 500


def check_sendable(connection: Connection, user_id: str, attachment_ids: Sequence[str]) -> None:
    """Check that all attachments belong to the user and are uploaded.

    Raises:
        NotFoundError: one does not belong to the user.
        Conflict: one is not uploaded yet.
    """
    for attachment_id in attachment_ids:
        stored = files.load(connection, user_id, attachment_id)
        if stored.size is None:
            name = stored.attachment.name
            raise Conflict(
                _("'{name}' is not uploaded yet. Send the message after the upload.", name=name)
            )


class Limits(NamedTuple):
    """What a user may have: unsent files, and bytes in all."""

    max_waiting: int
    max_storage: int


def add(connection: Connection, user_id: str, attachment: Attachment, limits: Limits) -> None:
    """Insert an attachment.

    Raises:
        Conflict: the user has too many unsent ones.
        StorageFull: the user has stored too much.
    """
    size = details_of(attachment).size
    check_room_for_file(connection, user_id, size, limits.max_storage)
    waiting = _of(user_id) & attachments.c.thread_id.is_(None)
    count = connection.scalar(select(func.count()).select_from(attachments).where(waiting)) or 0
    if count >= limits.max_waiting:
        raise Conflict(_("You have {count} unsent files. Send or delete some first.", count=count))
    save_attachment(connection, attachment, user_id)


def add_and_claim(
    connection: Connection, user_id: str, attachment: Attachment, limits: Limits
) -> float:
    """Insert an attachment whose bytes are written next, and return the claim on them."""
    add(connection, user_id, attachment, limits)
    return files.claim(connection, user_id, attachment.id)


def remove(connection: Connection, user_id: str, attachment_id: str) -> None:
    """Delete an attachment that is not part of a message.

    Raises:
        NotFoundError: there is no such attachment.
        Conflict: it is part of a message.
    """
    mine = select(attachments.c.thread_id).where(_own(user_id, attachment_id)).with_for_update()
    row = connection.execute(mine).first()
    if row is None:
        raise NotFoundError(attachment_id)
    if row.thread_id is not None:
        raise Conflict(_("This file is part of a message. To delete it, delete the thread."))
    delete_attachment(connection, attachment_id, user_id)


def remove_orphans(connection: Connection, hours: float) -> None:
    """Delete up to `BATCH` attachments, of any user, that were not sent for this many hours."""
    past = attachments.c.created_at < database_now() - literal_column(str(hours * 3600))
    orphans = select(attachments.c.user_id, attachments.c.id).where(
        attachments.c.thread_id.is_(None), past
    )
    rows = connection.execute(orphans.limit(BATCH).with_for_update(skip_locked=True)).all()
    for row in rows:
        delete_attachment(connection, row.id, row.user_id)


def _own(user_id: str, attachment_id: str) -> ColumnElement[bool]:
    return _of(user_id) & (attachments.c.id == attachment_id)


def _of(user_id: str) -> ColumnElement[bool]:
    return attachments.c.user_id == user_id
