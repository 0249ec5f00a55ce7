"""Users' files: a row of `attachments`, and the bytes under the row's id.

A row without a size is one whose bytes are not there yet. Whoever writes them holds a claim on
them, and the size is written together with the end of the claim.
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
LOST = _("The upload took too long, and was taken over. Try again.")
GiveUp = Callable[[Connection, str, str, float], None]


@dataclass(frozen=True)
class Stored:
    """An attachment, and how many bytes of it are there; None before the upload."""

    attachment: Attachment
    size: int | None


class Files:
    """Files whose bytes and rows stay together. Every statement filters on the user."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def write(
        self,
        user_id: str,
        attachment: Attachment,
        chunks: AsyncIterator[bytes],
        claimed: float,
        give_up: GiveUp,
    ) -> None:
        """Write the bytes, and then that they are there; or neither, and `give_up` the claim.

        Raises:
            Unavailable: the storage does not answer in time.
            NotFoundError, Conflict: the attachment or the claim is gone.
        """
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._blobs.put(blob_key(user_id, attachment.id), chunks)
            await self._database.write(complete, user_id, attachment, claimed)
        except BaseException as error:
            with CancelScope(shield=True):
                await self._clear_away(user_id, attachment.id, claimed, give_up)
            if isinstance(error, TimeoutError):
                raise Unavailable(_("The file storage is too slow. Try again later.")) from None
            raise

    async def read(
        self, user_id: str, attachment_id: str
    ) -> tuple[Attachment, int, AsyncIterator[bytes]]:
        """Return an uploaded attachment, its size, and its bytes in chunks.

        Raises:
            NotFoundError: it is not the user's.
            NotFound: it is not uploaded yet, or its bytes are gone.
        """
        stored = await self._database.read(load, user_id, attachment_id)
        if stored.size is None:
            raise NotFound(_("This file is not uploaded yet."))
        chunks = await self._blobs.get(blob_key(user_id, attachment_id))
        return stored.attachment, stored.size, chunks

    async def _clear_away(
        self, user_id: str, attachment_id: str, claimed: float, give_up: GiveUp
    ) -> None:
        """What cannot be done now is left to the sweeper, when the claim has passed."""
        try:
            await self._database.write(give_up, user_id, attachment_id, claimed)
            await delete_dead_blobs(self._database, self._blobs)
        except Unavailable:
            log.warning("an upload that failed waits for the sweeper", attachment=attachment_id)


def load(connection: Connection, user_id: str, attachment_id: str) -> Stored:
    """Return the user's attachment, or raise `NotFoundError`."""
    own = (attachments.c.user_id == user_id) & (attachments.c.id == attachment_id)
    columns = select(attachments.c.data, attachments.c.size)
    row = connection.execute(columns.where(own)).first()
    if row is None:
        raise NotFoundError(attachment_id)
    return Stored(ATTACHMENT.validate_json(row.data), row.size)


def claim(connection: Connection, user_id: str, attachment_id: str) -> float:
    """Claim the bytes of an attachment in order to write them.

    The claim comes first: it may have had to wait for an upload that was just then completed.

    Raises:
        NotFoundError: there is no such attachment any more.
        Conflict: its bytes are there already, or are being written by another upload.
    """
    claimed = blob_cleanup.claim(connection, user_id, attachment_id)
    check_not_uploaded(load(connection, user_id, attachment_id))
    if claimed is None:
        raise Conflict(_("This file is being uploaded already. Wait for the end of that."))
    return claimed


def check_not_uploaded(stored: Stored) -> None:
    if stored.size is not None:
        raise Conflict(_("This file is uploaded already. Make a new attachment for another one."))


def complete(connection: Connection, user_id: str, attachment: Attachment, claimed: float) -> None:
    """Write down that the bytes are there.

    Raises:
        NotFoundError: the attachment was deleted meanwhile.
        Conflict: the claim has passed.
    """
    own = (attachments.c.user_id == user_id) & (attachments.c.id == attachment.id)
    values = {
        "data": attachment.model_dump_json(exclude_none=True),
        "size": details_of(attachment).size,
    }
    waiting = own & attachments.c.size.is_(None)
    if connection.execute(update(attachments).where(waiting).values(values)).rowcount == 0:
        raise NotFoundError(attachment.id)
    if not blob_cleanup.keep(connection, user_id, attachment.id, claimed):
        raise Conflict(LOST)


def discard(connection: Connection, user_id: str, attachment_id: str, claimed: float) -> None:
    """Delete an attachment whose bytes could not be written."""
    delete_attachment(connection, attachment_id, user_id)
    blob_cleanup.give_up(connection, user_id, attachment_id, claimed)
