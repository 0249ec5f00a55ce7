"""Idempotency keys, what a turn wrote, deleted rows' places, attachments' bytes."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
IS_KEYED = sa.text("idempotency_key IS NOT NULL")
TURN_COLUMNS = ("message_id", "after_seq", "idempotency_key", "fingerprint")


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


def downgrade() -> None:
    op.drop_table("dead_blobs")
    op.drop_table("tombstones")
    for index in ("ix_attachments_user", "ix_attachments_thread"):
        op.drop_index(index, "attachments")
    op.drop_column("attachments", "size")
    for index in ("ix_turns_key", "ix_turns_thread"):
        op.drop_index(index, "turns")
    for name in TURN_COLUMNS:
        op.drop_column("turns", name)
