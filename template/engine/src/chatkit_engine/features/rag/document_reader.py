"""Reads documents in a worker process, so that a hostile or broken file costs itself only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatkit_engine.errors import Unavailable
from chatkit_engine.features.rag.reading import worker
from chatkit_engine.features.rag.reading.chunking import Chunk
from chatkit_engine.features.rag.reading.document import Unreadable
from chatkit_engine.workers.pool import Limits, WorkerPool, WorkersUnavailable, WorkFailed

# A page of 20 MB, the largest file, needs some fifty times its bytes.
LIMITS = Limits(
    memory_bytes=1536 * 1024 * 1024,
    cpu_seconds=120,
    wall_seconds=180,
    answer_bytes=256 * 1024 * 1024,
)
FUNCTION = f"{worker.__name__}:{worker.read_and_cut.__name__}"
PIECE_BYTES = 1024 * 1024
TOO_COSTLY = "The file takes too much time or memory to read: split it, or save it again."
NO_WORKER = "No process can be started to read the files. The log says why."


@dataclass(frozen=True)
class CutDocument:
    """A document that was read and cut into chunks."""

    title: str
    url: str | None
    chapter: str
    lesson: str
    chunks: list[Chunk]


class DocumentReader:
    """Reads one document after another. Close it at the end."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._pool = WorkerPool(FUNCTION, limits, size=1)

    async def read(self, data: bytes, source: str) -> CutDocument:
        """Read and cut a file.

        Raises:
            Unreadable: the message says why.
            Unavailable: no process can be started.
        """
        try:
            found = await self._pool.run("", _pieces(data), source=source)
        except WorkFailed:
            raise Unreadable(TOO_COSTLY) from None
        except WorkersUnavailable:
            raise Unavailable(NO_WORKER) from None
        if reason := found.get("unreadable"):
            raise Unreadable(reason)
        chunks = [Chunk(**chunk) for chunk in found.pop("chunks")]
        return CutDocument(**found, chunks=chunks)

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
