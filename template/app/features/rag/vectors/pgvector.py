"""Vectors in PostgreSQL, with the extension `vector` (pgvector 0.8 or newer)."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import ProgrammingError

from app.features.rag.embeddings.contract import Matrix
from app.features.rag.vectors import pgvector_statements
from app.features.rag.vectors.contract import Match, Vectors
from app.features.rag.vectors.names import short_name
from app.features.rag.vectors.pgvector_statements import VectorStatements
from app.store.engine import Database

log = structlog.stdlib.get_logger(__name__)

NUMBERS_OF_A_BATCH = 50_000


class PgvectorStore:
    """Searches an index (HNSW), which the first `add` makes for its embedder.

    Vectors of more than 4,000 dimensions have no index: every one of them is compared.
    """

    name = "pgvector"

    def __init__(self, database: Database, embedder_name: str, dimensions: int) -> None:
        self._database = database
        self._statements = VectorStatements(short_name(embedder_name, dimensions), dimensions)
        self._is_indexed = not self._statements.has_index
        self._indexing = asyncio.Lock()

    async def add(self, vectors: Vectors) -> None:
        """Add vectors of chunks that are in the database, or replace those of the same chunks."""
        await self._index()
        for batch in _batches(vectors):
            await self._database.write(self._statements.add, batch)

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Remove vectors of the owner's."""
        await self._database.write(pgvector_statements.remove, user_id, chunk_ids)

    async def remove_user(self, user_id: str) -> None:
        """Remove all of the owner's vectors."""
        await self._database.write(pgvector_statements.remove_user, user_id)

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return for each query the nearest of the user's own and the shared vectors."""
        return await self._database.read(
            self._statements.search, user_id, queries.tolist(), limit, document_ids
        )

    async def aclose(self) -> None:
        """Do nothing: the database is closed by whoever opened it."""

    async def _index(self) -> None:
        """Create the index if it is missing: before there are vectors, that takes no time."""
        async with self._indexing:
            if self._is_indexed:
                return
            if not await self._database.read(self._statements.is_indexed):
                await self._create_index()
            self._is_indexed = True

    async def _create_index(self) -> None:
        try:
            await self._database.write(self._statements.create_index)
        except ProgrammingError:
            log.warning("this role may not create the vectors' index: searches compare them all")


def _batches(vectors: Vectors) -> Iterator[list[dict[str, Any]]]:
    """Split vectors so that encoding a batch does not hold up other work."""
    size = max(1, NUMBERS_OF_A_BATCH // vectors.matrix.shape[1])
    for start in range(0, len(vectors.chunk_ids), size):
        rows = slice(start, start + size)
        pairs = zip(vectors.chunk_ids[rows], vectors.matrix[rows].tolist(), strict=True)
        yield [
            {"owner": vectors.user_id, "chunk_id": chunk_id, "embedding": row}
            for chunk_id, row in pairs
        ]
