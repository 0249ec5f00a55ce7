"""The table for vectors on PostgreSQL, its chain of migrations, and the extension that it needs.

A row is deleted with its chunk's row. The table holds vectors of several embedders, which may have
different lengths, so each embedder has its own index.
"""

from pathlib import Path

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import Column, Connection, ForeignKey, Index, MetaData, Table, Text, text
from sqlalchemy.exc import ProgrammingError

from chatkit_engine.features.rag.tables import chunks
from chatkit_engine.store.migrate import MigrationRefused, Migrations
from chatkit_engine.store.tables import Sequence

MIN_VERSION = (0, 8)
AVAILABLE = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
INSTALLED = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
CREATE = text("CREATE EXTENSION IF NOT EXISTS vector")
VERSIONS = Path(__file__).parent / "pgvector_migrations" / "versions"
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

MIGRATIONS = Migrations("rag_pgvector", VERSIONS, metadata, dialect="postgresql")


class ExtensionMissing(MigrationRefused):
    """The server lacks the extension `vector`, or its version is too old."""


def require_extension(connection: Connection) -> None:
    """Create the extension in the database if it is missing.

    Raises:
        ExtensionMissing: the server does not have it, the role may not create it, or it is too old.
    """
    if connection.scalar(AVAILABLE) is None:
        raise ExtensionMissing(
            "VECTOR_STORE=pgvector needs PostgreSQL with the extension 'vector', which this server "
            "does not have. Install pgvector on the server, or set VECTOR_STORE=embedded."
        )
    try:
        connection.execute(CREATE)
    except ProgrammingError as error:
        raise ExtensionMissing(
            "This role may not create the extension 'vector'. Ask an administrator to run "
            "`CREATE EXTENSION vector` in this database, then try again."
        ) from error
    version = str(connection.scalar(INSTALLED))
    if tuple(map(int, version.split(".")[:2])) < MIN_VERSION:
        raise ExtensionMissing(
            f"The extension 'vector' has version {version}, but at least 0.8 is needed. "
            "Ask an administrator to run `ALTER EXTENSION vector UPDATE` in this database."
        )
