"""Keeps vectors in PostgreSQL, with the extension `vector` (pgvector 0.8 or newer).

Vectors have unit length, so the inner product is the cosine. The operator `<#>` is its negative.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    ARRAY,
    REAL,
    ColumnElement,
    CompoundSelect,
    Connection,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.exc import ProgrammingError

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.tables import chunks
from chatkit_engine.features.rag.vectors.pgvector_tables import vectors
from chatkit_engine.features.rag.vectors.store import SHARED, Match, Vectors, short_name
from chatkit_engine.store.database import Database
from chatkit_engine.store.upsert import execute_upsert, upsert

log = structlog.stdlib.get_logger(__name__)
INDEX_LOCK = 0x76656374
MAX_INDEXED, MAX_INDEXED_HALVES = 2000, 4000
MAX_NUMBERS = 50_000
# With these values, a search for the nearest 50 of 20,000 vectors like those of texts misses one in
# 200. The scan is iterative because the index knows no owners: it must skip the vectors of others.
SCAN = {
    "hnsw.ef_search": "200",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "2147483647",
    "hnsw.scan_mem_multiplier": "100",
}
_CHUNK = select(
    chunks.c.user_id,
    chunks.c.id,
    chunks.c.document_id,
    bindparam("embedder", type_=Text),
    cast(bindparam("embedding", type_=ARRAY(REAL)), VECTOR()),
).where(chunks.c.id == bindparam("chunk_id"), chunks.c.user_id == bindparam("owner"))
_CHANGED = ["document_id", "embedder", "embedding"]
_ADD = upsert(
    vectors,
    ["chunk_id"],
    _CHANGED,
    lambda insert: insert.from_select(["user_id", "chunk_id", *_CHANGED], _CHUNK),
)


class PgvectorStore:
    """Searches an HNSW index, which the first `add` creates for the embedder.

    Vectors with more than 4,000 dimensions have no index, so a search compares all of them.
    """

    name = "pgvector"

    def __init__(self, database: Database, embedder_name: str, dimensions: int) -> None:
        self._database = database
        self._statements = VectorStatements(short_name(embedder_name, dimensions), dimensions)
        self._is_indexed = not self._statements.has_index
        self._indexing = asyncio.Lock()

    async def add(self, vectors: Vectors) -> None:
        """Add vectors, or replace those of the same chunks. The chunks must be in the database."""
        await self._index()
        for batch in _batches(vectors):
            await self._database.write(self._statements.add, batch)

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Remove vectors of the owner."""
        await self._database.write(remove, user_id, chunk_ids)

    async def remove_user(self, user_id: str) -> None:
        """Remove all vectors of the owner."""
        await self._database.write(remove_user, user_id)

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return the nearest of the user's own and the shared vectors for each query."""
        return await self._database.read(
            self._statements.search, user_id, queries.tolist(), limit, document_ids
        )

    async def aclose(self) -> None:
        """Do nothing: the application closes the database."""

    async def _index(self) -> None:
        """Create the index if it is missing. It is fast before there are vectors."""
        async with self._indexing:
            if self._is_indexed:
                return
            if not await self._database.read(self._statements.is_indexed):
                await self._create_index()
            self._is_indexed = True

    async def _create_index(self) -> None:
        if not await self._database.write(self._statements.create_index):
            log.warning(
                "this role may not create the vector index: each search compares all vectors"
            )


class VectorStatements:
    """The SQL statements for the vectors of one embedder. Each filters on the owner.

    `embedder` is its short name, which is safe to write into SQL.
    """

    def __init__(self, embedder: str, dimensions: int) -> None:
        self._embedder = embedder
        self._full = VECTOR(dimensions)
        self._indexed, self._operators = self._full, "vector_ip_ops"
        if dimensions > MAX_INDEXED:
            self._indexed, self._operators = HALFVEC(dimensions), "halfvec_ip_ops"
        self.has_index = dimensions <= MAX_INDEXED_HALVES

    @property
    def index_name(self) -> str:
        return f"ix_rag_vectors_{self._embedder}"

    def is_indexed(self, connection: Connection) -> bool:
        return connection.scalar(select(func.to_regclass(self.index_name))) is not None

    def create_index(self, connection: Connection) -> bool:
        """Create the embedder's index unless another process has. Return whether this role may."""
        connection.execute(select(func.pg_advisory_xact_lock(INDEX_LOCK)))
        near = f"(embedding::{self._indexed.get_col_spec()}) {self._operators}"
        statement = text(
            f"CREATE INDEX IF NOT EXISTS {self.index_name} ON rag_vectors "
            f"USING hnsw ({near}) WHERE embedder = '{self._embedder}'"
        )
        try:
            with connection.begin_nested():
                connection.execute(statement)
        except ProgrammingError:
            return False
        return True

    def add(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        execute_upsert(connection, _ADD, [{**row, "embedder": self._embedder} for row in rows])

    def search(
        self,
        connection: Connection,
        user_id: str,
        queries: Sequence[Sequence[float]],
        limit: int,
        document_ids: Sequence[str] | None,
    ) -> list[list[Match]]:
        scan = [func.set_config(name, value, True) for name, value in SCAN.items()]
        connection.execute(select(*scan))
        owners = {user_id, SHARED}
        parts = [self._nearest(owner, limit, document_ids) for owner in sorted(owners)]
        return [_matches(connection, union_all(*parts), query, limit) for query in queries]

    def _nearest(self, owner: str, limit: int, document_ids: Sequence[str] | None) -> Any:
        column, query = vectors.c.embedding, bindparam("query", type_=ARRAY(REAL))
        similarity = -cast(column, self._full).max_inner_product(cast(query, self._full))
        distance = cast(column, self._indexed).max_inner_product(cast(query, self._indexed))
        found = select(vectors.c.chunk_id, similarity.label("similarity"))
        return found.where(*self._mine(owner, document_ids)).order_by(distance).limit(limit)

    def _mine(self, owner: str, document_ids: Sequence[str] | None) -> list[ColumnElement[bool]]:
        ours = vectors.c.embedder == literal_column(f"'{self._embedder}'")
        mine = vectors.c.user_id == owner
        if document_ids is None:
            return [ours, mine]
        wanted = bindparam("document_ids", list(document_ids), ARRAY(Text), unique=True)
        return [ours, mine, vectors.c.document_id == func.any(wanted)]


def remove(connection: Connection, user_id: str, chunk_ids: Sequence[str]) -> None:
    wanted = bindparam("chunk_ids", list(chunk_ids), ARRAY(Text))
    mine = vectors.c.user_id == user_id
    connection.execute(delete(vectors).where(mine, vectors.c.chunk_id == func.any(wanted)))


def remove_user(connection: Connection, user_id: str) -> None:
    connection.execute(delete(vectors).where(vectors.c.user_id == user_id))


def _matches(
    connection: Connection, found: CompoundSelect[Any], query: Sequence[float], limit: int
) -> list[Match]:
    rows = connection.execute(found, {"query": list(query)}).all()
    matches = [Match(row.chunk_id, row.similarity) for row in rows]
    return sorted(matches, key=lambda match: match.similarity, reverse=True)[:limit]


def _batches(vectors: Vectors) -> Iterator[list[dict[str, Any]]]:
    """Split vectors into batches that are small enough not to block the event loop."""
    size = max(1, MAX_NUMBERS // vectors.matrix.shape[1])
    for start in range(0, len(vectors.chunk_ids), size):
        rows = slice(start, start + size)
        pairs = zip(vectors.chunk_ids[rows], vectors.matrix[rows].tolist(), strict=True)
        yield [
            {"owner": vectors.user_id, "chunk_id": chunk_id, "embedding": row}
            for chunk_id, row in pairs
        ]
