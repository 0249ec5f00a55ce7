"""Exact search in the memory of this process, over the vectors in the chunks' rows.

The vectors of recent owners stay in memory. Each search first loads what has changed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from heapq import nlargest
from itertools import chain
from typing import NamedTuple, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection, select, tuple_

from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.rows import LibraryVersion
from chatkit_engine.features.rag.tables import chunks
from chatkit_engine.features.rag.vectors.store import SHARED, Match, Vectors
from chatkit_engine.store.database import Database

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
BLOCK = 500
MAX_BYTES = 1024**3


class EmbeddedStore:
    """Searches the vectors in memory. Adding and removing does nothing: the rows are the store."""

    name = "embedded"

    def __init__(
        self,
        database: Database,
        embedder_name: str,
        dimensions: int,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._database = database
        self._embedder = embedder_name
        self._dimensions = dimensions
        self._cache = VectorCache(max_bytes)
        self._loading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vectors")

    async def add(self, vectors: Vectors) -> None:
        """Do nothing: the chunks' rows are the store."""

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Do nothing: the chunks' rows are the store."""

    async def remove_user(self, user_id: str) -> None:
        """Drop the vectors from memory. The rows are deleted with the user's other rows."""
        self._cache.drop(user_id)

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return the nearest of the user's own and the shared vectors for each query."""
        versions = await self._database.read(rows.versions, user_id)
        for gone in {user_id, SHARED} - versions.keys():
            self._cache.drop(gone)
        current = [await self._current(owner, at) for owner, at in versions.items()]
        return await self._compute(_nearest, current, queries, limit, document_ids)

    async def aclose(self) -> None:
        """Stop the thread. The application closes the database."""
        self._thread.shutdown(wait=False)

    async def _compute(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run the work in the store's only thread.

        Several threads would be slower, because numpy already uses all cores for one computation,
        and its threads would wait for each other while the event loop waits for them.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _current(self, owner: str, at: LibraryVersion) -> "OwnerVectors":
        """Return the owner's vectors at that version or later."""
        # The lock lets concurrent searches load the vectors once.
        async with self._loading.setdefault(owner, asyncio.Lock()):
            known = self._cache.get(owner)
            if known and known.at[:2] >= at[:2]:
                return known
            if known is None or known.at.seq < at.seq or known.at.version < at.purged:
                known = OwnerVectors.empty(at._replace(version=0), self._dimensions)
            blocks = await self._load(owner, known.at.version, at.version)
            vectors = await self._compute(known.extended, at, blocks)
            self._cache.put(owner, vectors)
            return vectors

    async def _load(self, owner: str, after: int, until: int) -> list["VectorBlock"]:
        """Return the chunks of the versions after `after`, up to `until`, in blocks."""
        blocks: list[VectorBlock] = []
        # A block begins after a version and a row of it.
        last: tuple[int, int] | None = (after + 1, 0)
        while last is not None:
            block = await self._database.read(
                _load_block, owner, self._embedder, self._dimensions, last, until
            )
            blocks.append(block)
            last = block.last
        return blocks


class VectorBlock(NamedTuple):
    """Vectors that were read together, with a row of the matrix for each chunk.

    `last` is the position after which the next block begins, if there is one.
    """

    chunk_ids: list[str]
    document_ids: list[str]
    matrix: Matrix
    last: tuple[int, int] | None


@dataclass(frozen=True)
class OwnerVectors:
    """The vectors of one owner, at a version.

    `document_of` has the number of each chunk's document. `numbers` maps document ids to numbers.
    """

    at: LibraryVersion
    matrix: Matrix
    chunk_ids: Sequence[str] = ()
    document_of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def empty(cls, at: LibraryVersion, dimensions: int) -> "OwnerVectors":
        return cls(at, np.empty((0, dimensions), np.float32))

    def extended(self, at: LibraryVersion, blocks: Sequence[VectorBlock]) -> "OwnerVectors":
        """Return the vectors with more chunks, at a later version."""
        if not any(block.chunk_ids for block in blocks):
            return replace(self, at=at)
        added = [document_id for block in blocks for document_id in block.document_ids]
        numbers = dict(self.numbers)
        numbered = [numbers.setdefault(document_id, len(numbers)) for document_id in added]
        return OwnerVectors(
            at,
            np.concatenate([self.matrix, *(block.matrix for block in blocks)]),
            [*self.chunk_ids, *(chunk_id for block in blocks for chunk_id in block.chunk_ids)],
            np.concatenate([self.document_of, np.array(numbered, np.int64)]),
            numbers,
        )

    def nearest(
        self, queries: Matrix, limit: int, document_ids: Sequence[str] | None
    ) -> list[list[Match]]:
        """Return the nearest chunks for each query, best first."""
        similarities = queries @ self.matrix.T
        rows = np.arange(len(self.chunk_ids))
        if document_ids is not None:
            wanted = [self.numbers[each] for each in document_ids if each in self.numbers]
            rows = np.flatnonzero(np.isin(self.document_of, wanted))
        return [self._best(each[rows], rows, limit) for each in similarities]

    def _best(
        self, similarities: NDArray[np.float32], rows: NDArray[np.int64], limit: int
    ) -> list[Match]:
        best = np.arange(len(rows))
        if limit < len(rows):
            best = np.argpartition(similarities, -limit)[-limit:]
        best = best[np.argsort(-similarities[best], kind="stable")]
        return [Match(self.chunk_ids[int(rows[each])], float(similarities[each])) for each in best]


class VectorCache:
    """Keeps the vectors of recent owners, up to a size.

    The shared vectors always stay, because every search uses them. So does the latest entry,
    because vectors that exceed the limit alone would otherwise be loaded for each search.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, OwnerVectors] = OrderedDict()

    def get(self, owner: str) -> OwnerVectors | None:
        if owner in self._kept:
            self._kept.move_to_end(owner)
        return self._kept.get(owner)

    def put(self, owner: str, vectors: OwnerVectors) -> None:
        if vectors.matrix.nbytes > self._max_bytes:
            log.warning("the vectors exceed their memory limit: use pgvector or Qdrant")
        self._kept[owner] = vectors
        self._kept.move_to_end(owner)
        size = sum(each.matrix.nbytes for each in self._kept.values())
        for other in [name for name in self._kept if name not in (owner, SHARED)]:
            if size <= self._max_bytes:
                return
            size -= self._kept.pop(other).matrix.nbytes

    def drop(self, owner: str) -> None:
        self._kept.pop(owner, None)


def _load_block(
    connection: Connection,
    owner: str,
    embedder: str,
    dimensions: int,
    after: tuple[int, int],
    until: int,
) -> VectorBlock:
    position = chunks.c.version, chunks.c.seq
    columns = chunks.c.id, chunks.c.document_id, chunks.c.embedding
    mine = (chunks.c.user_id == owner) & (chunks.c.embedder == embedder) & ~chunks.c.staged
    # The first condition follows from the second, but only the first can use the index.
    next_ones = chunks.c.version.between(after[0], until) & (tuple_(*position) > tuple_(*after))
    wanted = select(*position, *columns).where(mine, next_ones).order_by(*position).limit(BLOCK)
    found = connection.execute(wanted).all()
    joined = b"".join(row.embedding for row in found)
    return VectorBlock(
        [row.id for row in found],
        [row.document_id for row in found],
        np.frombuffer(joined, "<f4").reshape(-1, dimensions),
        (found[-1].version, found[-1].seq) if len(found) == BLOCK else None,
    )


def _nearest(
    owners: Sequence[OwnerVectors],
    queries: Matrix,
    limit: int,
    document_ids: Sequence[str] | None,
) -> list[list[Match]]:
    found = [vectors.nearest(queries, limit, document_ids) for vectors in owners]
    by_query = [[each[number] for each in found] for number in range(len(queries))]
    return [nlargest(limit, chain(*each), key=lambda match: match.similarity) for each in by_query]
