"""Exact search over the chunks' own rows, with the vectors in this process's memory."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from heapq import nlargest
from itertools import chain
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import numpy as np
from sqlalchemy import Connection, select, tuple_

from app.features.rag import rows
from app.features.rag.embeddings.contract import Matrix
from app.features.rag.rows import LibraryVersion
from app.features.rag.tables import chunks
from app.features.rag.vectors.contract import SHARED, Match, Vectors
from app.features.rag.vectors.library import KeptLibraries, Library, Piece
from app.store.engine import Database

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PIECE = 500
MAX_BYTES = 1024**3


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

    async def _load(self, owner: str, after: int, until: int) -> list[Piece]:
        """Return the chunks that came after one version, until another, in pieces.

        What comes later is of a later version, and has its turn in the next search.
        """
        pieces: list[Piece] = []
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
) -> Piece:
    place = chunks.c.version, chunks.c.seq
    columns = chunks.c.id, chunks.c.document_id, chunks.c.embedding
    mine = (chunks.c.user_id == owner) & (chunks.c.embedder == embedder) & ~chunks.c.staged
    # The first condition says nothing new, but is what an index can be used for.
    next_ones = chunks.c.version.between(after[0], until) & (tuple_(*place) > tuple_(*after))
    wanted = select(*place, *columns).where(mine, next_ones).order_by(*place).limit(PIECE)
    found = connection.execute(wanted).all()
    joined = b"".join(row.embedding for row in found)
    return Piece(
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
