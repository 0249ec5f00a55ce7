"""Threads, items, attachments, feedback and turns, with full-text search over the items."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

SQLITE_SEARCH = (
    """
    CREATE VIRTUAL TABLE items_search USING fts5(
        text, content='items', content_rowid='seq', tokenize='unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER items_search_insert AFTER INSERT ON items WHEN new.text != '' BEGIN
        INSERT INTO items_search(rowid, text) VALUES (new.seq, new.text);
    END
    """,
    """
    CREATE TRIGGER items_search_delete AFTER DELETE ON items WHEN old.text != '' BEGIN
        INSERT INTO items_search(items_search, rowid, text) VALUES ('delete', old.seq, old.text);
    END
    """,
    """
    CREATE TRIGGER items_search_update AFTER UPDATE OF text ON items
    WHEN old.text != new.text BEGIN
        INSERT INTO items_search(items_search, rowid, text)
            SELECT 'delete', old.seq, old.text WHERE old.text != '';
        INSERT INTO items_search(rowid, text) SELECT new.seq, new.text WHERE new.text != '';
    END
    """,
)

# The user id is indexed as one more word, so that a search does not read other users' messages. Its
# space keeps it apart from the words of texts, which have none.
POSTGRESQL_SEARCH = (
    """
    CREATE INDEX ix_items_search ON items USING gin ((
        to_tsvector('simple', left(text, 100000)) || array_to_tsvector(ARRAY['user ' || user_id])
    )) WHERE text <> ''
    """,
)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _seq() -> sa.Column[int]:
    return sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)


def _text(name: str, *, nullable: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, unique=unique)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _thread_id(*, nullable: bool = False) -> sa.Column[str]:
    reference = sa.ForeignKey("threads.id", ondelete="CASCADE")
    return sa.Column("thread_id", sa.Text, reference, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "threads",
        _seq(),
        _text("user_id"),
        _text("id", unique=True),
        _text("data"),
        _time("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_threads_user", "threads", ["user_id", "seq"])
    op.create_table(
        "items",
        _seq(),
        _text("user_id"),
        _text("id"),
        _thread_id(),
        _text("type"),
        sa.Column("text", sa.Text, nullable=False, server_default=""),
        _text("data"),
        _time("created_at"),
        sa.UniqueConstraint("thread_id", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_items_thread", "items", ["thread_id", "seq"])
    op.create_table(
        "attachments",
        _seq(),
        _text("user_id"),
        _text("id", unique=True),
        _thread_id(nullable=True),
        _text("data"),
        _time("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feedback",
        _seq(),
        _text("user_id"),
        _thread_id(),
        _text("item_id"),
        _text("kind"),
        _time("created_at"),
        sa.UniqueConstraint("thread_id", "item_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "turns",
        _seq(),
        _text("user_id"),
        _text("id", unique=True),
        _thread_id(),
        _text("state"),
        _text("holder"),
        _time("lease_expires_at"),
        _time("ended_at", nullable=True),
        _text("usage", nullable=True),
        _time("created_at"),
        sqlite_autoincrement=True,
    )
    running = sa.text("state = 'running'")
    op.create_index(
        "ix_turns_running",
        "turns",
        ["thread_id"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    for statement in SQLITE_SEARCH if _is_sqlite() else POSTGRESQL_SEARCH:
        op.execute(statement)


def downgrade() -> None:
    if _is_sqlite():
        op.execute("DROP TABLE items_search")
    for table in ("turns", "feedback", "attachments", "items", "threads"):
        op.drop_table(table)
