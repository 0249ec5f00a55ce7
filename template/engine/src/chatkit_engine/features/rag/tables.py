"""The tables of the documents, with their own metadata and chain of migrations.

A row with an empty `user_id` is shared: every user may read it. A library is all documents of one
owner; its `version` counts changes, and `purged` is the version at which chunks were deleted last.
A chunk has the version at which it was published. `staged` chunks belong to an unfinished `ingest`,
and no search finds them.
"""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from chatkit_engine.store.database import database_now
from chatkit_engine.store.migrate import Migrations
from chatkit_engine.store.tables import Sequence

metadata = MetaData()


def _seq() -> Column[int]:
    return Column("seq", Sequence, primary_key=True, autoincrement=True)


libraries = Table(
    "rag_libraries",
    metadata,
    _seq(),
    Column("user_id", Text, nullable=False, unique=True),
    Column("version", BigInteger, nullable=False),
    Column("purged", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

documents = Table(
    "rag_documents",
    metadata,
    _seq(),
    Column("user_id", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("collection", Text, nullable=False),
    Column("source", Text, nullable=False, comment="The file's path in its collection"),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("chapter", Text, nullable=False, server_default=""),
    Column("lesson", Text, nullable=False, server_default=""),
    Column("content_hash", Text, nullable=False, server_default="", comment="Empty: not complete"),
    Column("vectors_in", Text, nullable=False, server_default="", comment="Store and embedder"),
    Column("created_at", Double, nullable=False, default=database_now()),
    UniqueConstraint("user_id", "collection", "source"),
    sqlite_autoincrement=True,
)

chunks = Table(
    "rag_chunks",
    metadata,
    _seq(),
    Column("user_id", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("document_id", Text, ForeignKey("rag_documents.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("heading", Text, nullable=False, comment="The headings above it, joined by ` › `"),
    Column("anchor", Text, nullable=False, server_default=""),
    Column("text", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="SHA-256 of what was embedded"),
    Column("embedder", Text, nullable=False),
    Column("embedding", LargeBinary, nullable=False, comment="float32, little-endian, unit length"),
    Column("staged", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

Index("ix_rag_chunks_document", chunks.c.document_id, chunks.c.user_id, chunks.c.position)
Index("ix_rag_chunks_user", chunks.c.user_id, chunks.c.version)

MIGRATIONS = Migrations("rag", Path(__file__).parent / "migrations" / "versions", metadata)
