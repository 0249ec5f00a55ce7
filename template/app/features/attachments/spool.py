"""A body on its way into a temporary file: counted while it comes, and never whole in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from app.errors import ContentTooLarge
from app.i18n import _

IN_MEMORY_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[BinaryIO]:
    """Hold the chunks in a file, or raise `ContentTooLarge` as soon as there are too many."""
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
