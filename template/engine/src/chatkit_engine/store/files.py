"""Users' files: a row of `attachments`, and a blob under the row's id.

A row whose `size` is null has no blob yet. Whoever writes the blob holds a claim on it
(`blob_cleanup`); the size is set and the claim completed in one transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog
from anyio import CancelScope
from chatkit.store import NotFoundError
from chatkit.types import Attachment
from sqlalchemy import Connection, select, update

from chatkit_engine.errors import Conflict, NotFound, Unavailable
from chatkit_engine.i18n import _
from chatkit_engine.store import blob_cleanup
from chatkit_engine.store.attachments import delete_attachment, details_of
from chatkit_engine.store.blob_cleanup import WORK_SECONDS, delete_dead_blobs
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.store.database import Database
from chatkit_engine.store.items import ATTACHMENT
from chatkit_engine.store.tables import attachments

log = structlog.stdlib.get_logger(__name__)

LOST = _("The upload took too long. Try again.")

ReleaseClaim = Callable[[Connection, str, str, float], None]


@dataclass(frozen=True)
class StoredFile:
    """An attachment and the size of its blob in bytes; None before the upload."""

    attachment: Attachment
    size: int | None


class Files:
    """Writes and reads files, so that a row and its blob exist together or not at all."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def write(
        self,
        user_id: str,
        attachment: Attachment,
        chunks: AsyncIterator[bytes],
        claimed: float,
        release: ReleaseClaim,
    ) -> None:
        """Write a claimed blob, and complete its row. On any error, call `release` instead.

        Raises:
            Unavailable: the storage does not answer in time.
            NotFoundError: the attachment was deleted in the meantime.
            Conflict: the claim has expired.
        """
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._blobs.put(blob_key(user_id, attachment.id), chunks)
            await self._database.write(complete, user_id, attachment, claimed)
        except BaseException as error:
            with CancelScope(shield=True):
                await self._clean_up(user_id, attachment.id, claimed, release)
            if isinstance(error, TimeoutError):
                raise Unavailable(_("The file storage is too slow. Try again later.")) from None
            raise

    async def read(
        self, user_id: str, attachment_id: str
    ) -> tuple[Attachment, int, AsyncIterator[bytes]]:
        """Return an uploaded attachment, its size in bytes, and its content in chunks.

        Raises:
            NotFoundError: the user has no such attachment.
            NotFound: it is not uploaded yet, or its blob is gone.
        """
        stored = await self._database.read(load, user_id, attachment_id)
        if stored.size is None:
            raise NotFound(_("This file has not been uploaded yet."))
        chunks = await self._blobs.get(blob_key(user_id, attachment_id))
        return stored.attachment, stored.size, chunks

    async def _clean_up(
        self, user_id: str, attachment_id: str, claimed: float, release: ReleaseClaim
    ) -> None:
        try:
            await self._database.write(release, user_id, attachment_id, claimed)
            await delete_dead_blobs(self._database, self._blobs)
        except Unavailable:
            # The sweeper deletes the blob when the claim has expired.
            log.warning("a failed upload is left to the sweeper", attachment=attachment_id)


def load(connection: Connection, user_id: str, attachment_id: str) -> StoredFile:
    """Return the user's attachment; raise `NotFoundError` if there is none."""
    is_attachment = (attachments.c.user_id == user_id) & (attachments.c.id == attachment_id)
    columns = select(attachments.c.data, attachments.c.size)
    row = connection.execute(columns.where(is_attachment)).first()
    if row is None:
        raise NotFoundError(attachment_id)
    return StoredFile(ATTACHMENT.validate_json(row.data), row.size)


def claim(connection: Connection, user_id: str, attachment_id: str) -> float:
    """Claim the blob of an attachment in order to write it.

    Raises:
        NotFoundError: the attachment does not exist.
        Conflict: the blob is uploaded already, or being uploaded.
    """
    # Claim before loading: the claim may have waited for an upload that was just completed.
    claimed = blob_cleanup.claim(connection, user_id, attachment_id)
    check_not_uploaded(load(connection, user_id, attachment_id))
    if claimed is None:
        raise Conflict(
            _("This file is already being uploaded. Wait until the upload has finished.")
        )
    return claimed


def check_not_uploaded(stored: StoredFile) -> None:
    if stored.size is not None:
        raise Conflict(
            _("This file has already been uploaded. Create a new attachment for another file.")
        )


def complete(connection: Connection, user_id: str, attachment: Attachment, claimed: float) -> None:
    """Record that the blob is written.

    Raises:
        NotFoundError: the attachment was deleted in the meantime.
        Conflict: the claim has expired.
    """
    is_attachment = (attachments.c.user_id == user_id) & (attachments.c.id == attachment.id)
    values = {
        "data": attachment.model_dump_json(exclude_none=True),
        "size": details_of(attachment).size,
    }
    is_waiting = is_attachment & attachments.c.size.is_(None)
    if connection.execute(update(attachments).where(is_waiting).values(values)).rowcount == 0:
        raise NotFoundError(attachment.id)
    if not blob_cleanup.complete(connection, user_id, attachment.id, claimed):
        raise Conflict(LOST)


def discard(connection: Connection, user_id: str, attachment_id: str, claimed: float) -> None:
    """Delete an attachment whose blob could not be written."""
    delete_attachment(connection, attachment_id, user_id)
    blob_cleanup.release(connection, user_id, attachment_id, claimed)
