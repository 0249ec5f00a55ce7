"""The vectors' table on PostgreSQL, in a chain of migrations of its own.

Its rows go with their chunks' rows. The vectors of several embedders may be there, of different
lengths; each embedder has an index of its own.
"""

from pathlib import Path

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import Column, ForeignKey, Index, MetaData, Table, Text

from app.features.rag.tables import chunks
from app.store.migrate import Migrations
from app.store.tables import Sequence

metadata = MetaData()

vectors = Table(
    "rag_vectors",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("user_id", Text, nullable=False),
    Column(
        "chunk_id",
        Text,
        ForeignKey(chunks.c.id, ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("document_id", Text, nullable=False),
    Column("embedder", Text, nullable=False, comment="Its short name"),
    Column("embedding", VECTOR(), nullable=False),
)
Index("ix_rag_vectors_user", vectors.c.user_id, vectors.c.document_id)

VERSIONS = Path(__file__).parent / "pgvector_migrations" / "versions"
MIGRATIONS = Migrations("rag_pgvector", VERSIONS, metadata, dialect="postgresql")
