"""Libraries, documents and their chunks, with full-text search over the chunks."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
WORDS = "heading || ' ' || text"

SQLITE_SEARCH = (
    """
    CREATE VIRTUAL TABLE rag_search USING fts5(
        heading, text, content='rag_chunks', content_rowid='seq',
        tokenize='unicode61 remove_diacritics 2'
    )
    """,
    "CREATE VIRTUAL TABLE rag_words USING fts5vocab(rag_search, 'row')",
    """
    CREATE TRIGGER rag_search_insert AFTER INSERT ON rag_chunks BEGIN
        INSERT INTO rag_search(rowid, heading, text) VALUES (new.seq, new.heading, new.text);
    END
    """,
    """
    CREATE TRIGGER rag_search_delete AFTER DELETE ON rag_chunks BEGIN
        INSERT INTO rag_search(rag_search, rowid, heading, text)
            VALUES ('delete', old.seq, old.heading, old.text);
    END
    """,
)
POSTGRESQL_SEARCH = (
    f"""
    ALTER TABLE rag_chunks ADD COLUMN words tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', left({WORDS}, 100000))) STORED
    """,
    "CREATE INDEX ix_rag_chunks_words ON rag_chunks USING gin (words)",
)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _seq() -> sa.Column[int]:
    return sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)


def _text(name: str, *, unique: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, unique=unique, server_default=default)


def upgrade() -> None:
    op.create_table(
        "rag_libraries",
        _seq(),
        _text("user_id", unique=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("purged", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rag_documents",
        _seq(),
        _text("user_id"),
        _text("id", unique=True),
        _text("collection"),
        _text("source"),
        _text("title"),
        sa.Column("url", sa.Text),
        _text("chapter", default=""),
        _text("lesson", default=""),
        _text("content_hash", default=""),
        _text("vectors_in", default=""),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("user_id", "collection", "source"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rag_chunks",
        _seq(),
        _text("user_id"),
        _text("id", unique=True),
        sa.Column(
            "document_id",
            sa.Text,
            sa.ForeignKey("rag_documents.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("position", sa.Integer, nullable=False),
        _text("heading"),
        _text("anchor", default=""),
        _text("text"),
        _text("hash"),
        _text("embedder"),
        sa.Column("embedding", sa.LargeBinary, nullable=False),
        sa.Column("staged", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rag_chunks_document", "rag_chunks", ["document_id", "user_id", "position"])
    op.create_index("ix_rag_chunks_user", "rag_chunks", ["user_id", "version"])
    for statement in SQLITE_SEARCH if _is_sqlite() else POSTGRESQL_SEARCH:
        op.execute(statement)


def downgrade() -> None:
    if _is_sqlite():
        op.execute("DROP TABLE rag_words")
        op.execute("DROP TABLE rag_search")
    for table in ("rag_chunks", "rag_documents", "rag_libraries"):
        op.drop_table(table)
