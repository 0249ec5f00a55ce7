"""The statements of vectors on PostgreSQL. Each filters on the owner.

Vectors are of unit length, so the inner product is the cosine; `<#>` is its negative.
"""

from collections.abc import Sequence
from typing import Any

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

from app.features.rag.tables import chunks
from app.features.rag.vectors.contract import SHARED, Match
from app.features.rag.vectors.pgvector_tables import vectors
from app.store.upsert import run, upsert

INDEX_LOCK = 0x76656374
MAX_INDEXED, MAX_INDEXED_HALVES = 2000, 4000
# Wide enough to miss one in 200 of the nearest 50 of 20,000 vectors that are like texts'. An index
# gives what is nearest of everybody's: the scan goes on until it has enough of the owner's.
SCAN = {
    "hnsw.ef_search": "200",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "2147483647",
    "hnsw.scan_mem_multiplier": "100",
}


class VectorStatements:
    """The statements for the vectors of one embedder."""

    def __init__(self, embedder: str, dimensions: int) -> None:
        """Take the embedder's short name, which is written into SQL as it is."""
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

    def create_index(self, connection: Connection) -> None:
        """Create the embedder's index, unless another process has done it."""
        connection.execute(select(func.pg_advisory_xact_lock(INDEX_LOCK)))
        near = f"(embedding::{self._indexed.get_col_spec()}) {self._operators}"
        connection.execute(
            text(
                f"CREATE INDEX IF NOT EXISTS {self.index_name} ON rag_vectors "
                f"USING hnsw ({near}) WHERE embedder = '{self._embedder}'"
            )
        )

    def add(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        run(connection, _ADD, [{**row, "embedder": self._embedder} for row in rows])

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
