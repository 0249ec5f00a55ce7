"""The bounded buffer between the pump, which writes a turn, and the response, which reads it."""

import asyncio


class Buffer:
    """One writer, one reader. The reader gets everything that waits, in one piece.

    After `release` the writer is never held up again. A writer that is cancelled while it waits
    for room would not pass the cancellation on to the model, so release comes before cancelling.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._bounded = True
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        while self._bounded and len(self._chunks) >= self._limit:
            self._writable.clear()
            await self._writable.wait()
        self._chunks.append(chunk)
        self._readable.set()

    async def take(self) -> bytes:
        """Wait for something and return it all; empty bytes mean the end."""
        await self._readable.wait()
        taken = b"".join(self._chunks)
        self._chunks.clear()
        if not self._ended:
            self._readable.clear()
        self._writable.set()
        return taken

    def release(self) -> None:
        self._bounded = False
        self._writable.set()

    def end(self) -> None:
        self._ended = True
        self._readable.set()
