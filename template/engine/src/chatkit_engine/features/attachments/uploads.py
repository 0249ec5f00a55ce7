"""Uploads in one step or announced in advance: checked, stored, read and deleted.

A body is written to a temporary file while it arrives, so it never takes its full size in memory.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from chatkit.types import Attachment, AttachmentCreateParams

from chatkit_engine.context import User
from chatkit_engine.errors import BadRequest, ContentTooLarge, TooManyRequests, Unprocessable
from chatkit_engine.features.attachments import rows
from chatkit_engine.features.attachments.file_types import declared_type, display_name
from chatkit_engine.features.attachments.inspector import InspectedFile, Inspector
from chatkit_engine.features.attachments.rows import Limits
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.i18n import _
from chatkit_engine.store import blob_cleanup, files
from chatkit_engine.store.attachments import AttachmentDetails, details_of, make_attachment
from chatkit_engine.store.blob_cleanup import delete_dead_blobs
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.files import Files, StoredFile
from chatkit_engine.store.ids import new_id

IN_MEMORY_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024


class Uploads:
    """The users' files. Every statement filters on the user.

    Raises:
        NotFoundError: from each method that takes an id, if it does not belong to the user.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        inspector: Inspector,
        settings: AttachmentsSettings,
        max_storage: int,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._inspector = inspector
        self._settings = settings
        self._limits = Limits(settings.attachment_max_waiting, max_storage)
        self._files = Files(database, blobs)
        self._running: Counter[str] = Counter()

    async def announce(self, user: User, params: AttachmentCreateParams) -> Attachment:
        """Create an attachment whose bytes are sent later.

        Raises:
            Unprocessable, ContentTooLarge, UnsupportedMediaType: such a file is not accepted.
            Conflict: the user has too many unsent files.
            StorageFull: the user has stored too much.
        """
        self._check_size(params.size)
        name = display_name(params.name)
        declared = declared_type(params.mime_type, name)
        self._inspector.check_type(declared)
        details = AttachmentDetails(size=params.size, uploaded=False)
        attachment = make_attachment(new_id("atc"), name, declared, details)
        await self._database.write(rows.add, user.id, attachment, self._limits)
        return attachment

    async def add(self, user: User, file: BinaryIO, name: str, media_type: str) -> Attachment:
        """Check a file and store it. A refused file leaves nothing behind.

        Raises:
            Unprocessable, ContentTooLarge, UnsupportedMediaType: the file is not accepted.
            Conflict: the user has too many unsent files.
            StorageFull: the user has stored too much.
        """
        self._check_size(size_of(file))
        name = display_name(name)
        declared = declared_type(media_type, name)
        found = await self._inspector.inspect(user.id, read_chunks(file), declared)
        attachment = _uploaded(new_id("atc"), name, found, size_of(file))
        claimed = await self._database.write(rows.add_and_claim, user.id, attachment, self._limits)
        await self._files.write(user.id, attachment, read_chunks(file), claimed, files.discard)
        return attachment

    async def receive(
        self, user_id: str, attachment_id: str, body: AsyncIterator[bytes]
    ) -> Attachment:
        """Receive the bytes of an announced attachment. Refused bytes may be sent again.

        Raises:
            Unprocessable, ContentTooLarge, UnsupportedMediaType: they are not as announced.
            Conflict: they are uploaded already, or being uploaded.
            TooManyRequests: the user has too many uploads at once.
        """
        with self.one_more(user_id):
            return await self._receive(user_id, attachment_id, body)

    @contextmanager
    def one_more(self, user_id: str) -> Generator[None]:
        """Count an upload while its bytes arrive and are checked.

        Raises:
            TooManyRequests: the user has as many uploads at once as a message has attachments.
        """
        limit = self._settings.attachment_max_per_message
        if self._running[user_id] >= limit:
            raise TooManyRequests(
                _("At most {limit} files may be uploaded at once. Try again shortly.", limit=limit)
            )
        self._running[user_id] += 1
        try:
            yield
        finally:
            self._running[user_id] -= 1
            if not self._running[user_id]:
                del self._running[user_id]

    async def _receive(
        self, user_id: str, attachment_id: str, body: AsyncIterator[bytes]
    ) -> Attachment:
        stored = await self._database.read(files.load, user_id, attachment_id)
        files.check_not_uploaded(stored)
        announced = stored.attachment
        size = details_of(announced).size
        async with spooled(body, size) as file:
            if size_of(file) < size:
                raise Unprocessable(
                    _(
                        "The file was announced with {size} bytes, but is shorter. Send all of it.",
                        size=size,
                    )
                )
            found = await self._inspector.inspect(user_id, read_chunks(file), announced.mime_type)
            attachment = _uploaded(attachment_id, announced.name, found, size)
            claimed = await self._database.write(files.claim, user_id, attachment_id)
            await self._files.write(
                user_id, attachment, read_chunks(file), claimed, blob_cleanup.release
            )
        return attachment

    async def load(self, user_id: str, attachment_id: str) -> StoredFile:
        return await self._database.read(files.load, user_id, attachment_id)

    async def check(self, user: User, attachment_ids: list[str]) -> None:
        """Check that these attachments may be part of a message.

        Raises:
            NotFoundError: one does not belong to the user.
            BadRequest: there are too many, or one is named twice.
            Conflict: one is not uploaded yet.
        """
        limit = self._settings.attachment_max_per_message
        if len(attachment_ids) > limit:
            raise BadRequest(_("A message may have at most {limit} attachments.", limit=limit))
        if len(set(attachment_ids)) < len(attachment_ids):
            raise BadRequest(_("The message names the same attachment twice. Name it once."))
        await self._database.read(rows.check_sendable, user.id, attachment_ids)

    async def delete(self, user: User, attachment_id: str) -> None:
        """Delete an attachment, or raise `Conflict` if it is part of a message."""
        await self._database.write(rows.remove, user.id, attachment_id)

    async def sweep(self) -> None:
        """Delete attachments that were never sent, and bytes that nothing refers to."""
        hours = self._settings.attachment_orphan_hours
        await self._database.write(rows.remove_orphans, hours)
        await delete_dead_blobs(self._database, self._blobs)

    def _check_size(self, size: int) -> None:
        limit = self._settings.upload_max_bytes
        if size <= 0:
            raise Unprocessable(_("The file is empty. Send a file with content."))
        if size > limit:
            raise ContentTooLarge(_("The file may have at most {limit} bytes.", limit=limit))


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[BinaryIO]:
    """Write the chunks to a file, or raise `ContentTooLarge` once the limit is exceeded."""
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
        file = cast(BinaryIO, spool)
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
            if file.tell() > max_bytes:
                raise ContentTooLarge(
                    _("The file may have at most {limit} bytes.", limit=max_bytes)
                )
        yield file


def size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)


async def read_chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield the file from its start."""
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk


def _uploaded(attachment_id: str, name: str, found: InspectedFile, size: int) -> Attachment:
    details = AttachmentDetails(size=size, uploaded=True, width=found.width, height=found.height)
    return make_attachment(attachment_id, name, found.mime_type, details)
