"""An owner's vectors in memory, and the few owners' that are kept there.

Exact search over the chunks' own rows, with the vectors in this process's memory."""

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
PIECE = 500
MAX_BYTES = 1024**3


class VectorBlock(NamedTuple):
    """Some chunks as they are read: a row of the matrix for each, and the last one's place."""

    chunk_ids: list[str]
    document_ids: list[str]
    matrix: Matrix
    last: tuple[int, int] | None


@dataclass(frozen=True)
class Library:
    """One owner's vectors, as they were at a version. `document_of` has numbers, not ids."""

    at: LibraryVersion
    matrix: Matrix
    chunk_ids: Sequence[str] = ()
    document_of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def empty(cls, at: LibraryVersion, dimensions: int) -> "Library":
        return cls(at, np.empty((0, dimensions), np.float32))

    def extended(self, at: LibraryVersion, pieces: Sequence[VectorBlock]) -> "Library":
        """Return the library with more chunks, at a later version."""
        if not any(piece.chunk_ids for piece in pieces):
            return replace(self, at=at)
        added = [document_id for piece in pieces for document_id in piece.document_ids]
        numbers = dict(self.numbers)
        numbered = [numbers.setdefault(document_id, len(numbers)) for document_id in added]
        return Library(
            at,
            np.concatenate([self.matrix, *(piece.matrix for piece in pieces)]),
            [*self.chunk_ids, *(chunk_id for piece in pieces for chunk_id in piece.chunk_ids)],
            np.concatenate([self.document_of, np.array(numbered, np.int64)]),
            numbers,
        )

    def nearest(
        self, queries: Matrix, limit: int, document_ids: Sequence[str] | None
    ) -> list[list[Match]]:
        """Return for each query the nearest chunks, best first."""
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


class KeptLibraries:
    """The libraries that were used last, as many as fit.

    The shared one stays, since every search wants it, and so does the one that came last: what is
    too large for the bound alone would otherwise be read anew for each search.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Library] = OrderedDict()

    def get(self, owner: str) -> Library | None:
        if owner in self._kept:
            self._kept.move_to_end(owner)
        return self._kept.get(owner)

    def keep(self, owner: str, library: Library) -> None:
        if library.matrix.nbytes > self._max_bytes:
            log.warning("vectors outgrow the memory meant for them: use pgvector or Qdrant")
        self._kept[owner] = library
        self._kept.move_to_end(owner)
        size = sum(each.matrix.nbytes for each in self._kept.values())
        for other in [name for name in self._kept if name not in (owner, SHARED)]:
            if size <= self._max_bytes:
                return
            size -= self._kept.pop(other).matrix.nbytes

    def drop(self, owner: str) -> None:
        self._kept.pop(owner, None)


Ts = TypeVarTuple("Ts")


class EmbeddedStore:
    """Searches an owner's vectors in memory, which each search first brings up to date.

    There is nothing to add or remove: the chunks' rows, which have the vectors, are the store.
    """

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
        self._kept = KeptLibraries(max_bytes)
        self._loading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vectors")

    async def add(self, vectors: Vectors) -> None:
        """Do nothing: the chunks' rows are the store."""

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Do nothing: the chunks' rows are the store."""

    async def remove_user(self, user_id: str) -> None:
        """Forget the vectors that are in memory; the rows go with the user's other rows."""
        self._kept.drop(user_id)

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return for each query the nearest of the user's own and the shared vectors."""
        versions = await self._database.read(rows.versions, user_id)
        for gone in {user_id, SHARED} - versions.keys():
            self._kept.drop(gone)
        libraries = [await self._library(owner, at) for owner, at in versions.items()]
        return await self._compute(_nearest, libraries, queries, limit, document_ids)

    async def aclose(self) -> None:
        """End its thread; the database is closed by whoever opened it."""
        self._thread.shutdown(wait=False)

    async def _compute(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Compute in the store's one thread: numpy uses every core for one thing at a time.

        In several threads its own ones wait for each other, and the event loop for all of them.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _library(self, owner: str, at: LibraryVersion) -> Library:
        """Return the owner's library, not older than that version; one search at a time loads."""
        async with self._loading.setdefault(owner, asyncio.Lock()):
            known = self._kept.get(owner)
            if known and known.at[:2] >= at[:2]:
                return known
            if known is None or known.at.seq < at.seq or known.at.version < at.purged:
                known = Library.empty(at._replace(version=0), self._dimensions)
            pieces = await self._load(owner, known.at.version, at.version)
            library = await self._compute(known.extended, at, pieces)
            self._kept.keep(owner, library)
            return library

    async def _load(self, owner: str, after: int, until: int) -> list[VectorBlock]:
        """Return the chunks that came after one version, until another, in pieces.

        What comes later is of a later version, and has its turn in the next search.
        """
        pieces: list[VectorBlock] = []
        last: tuple[int, int] | None = (after + 1, 0)
        while last is not None:
            piece = await self._database.read(
                _load_piece, owner, self._embedder, self._dimensions, last, until
            )
            pieces.append(piece)
            last = piece.last
        return pieces


def _load_piece(
    connection: Connection,
    owner: str,
    embedder: str,
    dimensions: int,
    after: tuple[int, int],
    until: int,
) -> VectorBlock:
    place = chunks.c.version, chunks.c.seq
    columns = chunks.c.id, chunks.c.document_id, chunks.c.embedding
    mine = (chunks.c.user_id == owner) & (chunks.c.embedder == embedder) & ~chunks.c.staged
    # The first condition says nothing new, but is what an index can be used for.
    next_ones = chunks.c.version.between(after[0], until) & (tuple_(*place) > tuple_(*after))
    wanted = select(*place, *columns).where(mine, next_ones).order_by(*place).limit(PIECE)
    found = connection.execute(wanted).all()
    joined = b"".join(row.embedding for row in found)
    return VectorBlock(
        [row.id for row in found],
        [row.document_id for row in found],
        np.frombuffer(joined, "<f4").reshape(-1, dimensions),
        (found[-1].version, found[-1].seq) if len(found) == PIECE else None,
    )


def _nearest(
    libraries: Sequence[Library],
    queries: Matrix,
    limit: int,
    document_ids: Sequence[str] | None,
) -> list[list[Match]]:
    found = [library.nearest(queries, limit, document_ids) for library in libraries]
    by_query = [[each[number] for each in found] for number in range(len(queries))]
    return [nlargest(limit, chain(*each), key=_similarity) for each in by_query]


def _similarity(match: Match) -> float:
    return match.similarity
