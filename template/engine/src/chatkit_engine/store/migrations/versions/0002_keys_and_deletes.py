"""Idempotency keys, the start of each turn, tombstones, and the sizes of attachments."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
IS_KEYED = sa.text("idempotency_key IS NOT NULL")
TURN_COLUMNS = ("message_id", "after_seq", "idempotency_key", "fingerprint")

# The user is indexed with the text, so that a search does not read other users' messages.
SQLITE_SEARCH = (
    "DROP TRIGGER items_search_insert",
    "DROP TRIGGER items_search_delete",
    "DROP TRIGGER items_search_update",
    "DROP TABLE items_search",
    """
    CREATE VIRTUAL TABLE items_search USING fts5(
        text, user_id, content='items', content_rowid='seq',
        tokenize='unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER items_search_insert AFTER INSERT ON items WHEN new.text != '' BEGIN
        INSERT INTO items_search(rowid, text, user_id) VALUES (new.seq, new.text, new.user_id);
    END
    """,
    """
    CREATE TRIGGER items_search_delete AFTER DELETE ON items WHEN old.text != '' BEGIN
        INSERT INTO items_search(items_search, rowid, text, user_id)
            VALUES ('delete', old.seq, old.text, old.user_id);
    END
    """,
    """
    CREATE TRIGGER items_search_update AFTER UPDATE OF text ON items
    WHEN old.text != new.text BEGIN
        INSERT INTO items_search(items_search, rowid, text, user_id)
            SELECT 'delete', old.seq, old.text, old.user_id WHERE old.text != '';
        INSERT INTO items_search(rowid, text, user_id)
            SELECT new.seq, new.text, new.user_id WHERE new.text != '';
    END
    """,
    """
    INSERT INTO items_search(rowid, text, user_id)
        SELECT seq, text, user_id FROM items WHERE text != ''
    """,
)


def _rows(name: str, *columns: sa.Column[str] | sa.Column[int]) -> None:
    op.create_table(
        name,
        sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.Text, nullable=False),
        *columns,
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )


def upgrade() -> None:
    for name in TURN_COLUMNS:
        kind = sa.BigInteger() if name == "after_seq" else sa.Text()
        op.add_column("turns", sa.Column(name, kind))
    op.create_index("ix_turns_thread", "turns", ["thread_id"])
    op.create_index(
        "ix_turns_key",
        "turns",
        ["user_id", "idempotency_key"],
        unique=True,
        sqlite_where=IS_KEYED,
        postgresql_where=IS_KEYED,
    )
    op.create_index("ix_items_user", "items", ["user_id", "seq"])
    op.add_column("attachments", sa.Column("size", sa.BigInteger()))
    op.create_index("ix_attachments_thread", "attachments", ["thread_id"])
    op.create_index("ix_attachments_user", "attachments", ["user_id", "seq"])
    _rows(
        "tombstones",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_tombstones_id", "tombstones", ["id"])
    op.create_index("ix_tombstones_created", "tombstones", ["created_at"])
    _rows("dead_blobs", sa.Column("key", sa.Text, nullable=False, unique=True))
    for statement in SQLITE_SEARCH if op.get_bind().dialect.name == "sqlite" else ():
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("dead_blobs")
    op.drop_table("tombstones")
    for index in ("ix_attachments_user", "ix_attachments_thread"):
        op.drop_index(index, "attachments")
    op.drop_column("attachments", "size")
    op.drop_index("ix_items_user", "items")
    for index in ("ix_turns_key", "ix_turns_thread"):
        op.drop_index(index, "turns")
    for name in TURN_COLUMNS:
        op.drop_column("turns", name)
