"""Token usage by turn, thread and user."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("thread_id", sa.Text),
        sa.Column("turn_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
        sa.Column("cost", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_usage_user", "usage", ["user_id", "created_at"])
    op.create_index("ix_usage_thread", "usage", ["thread_id", "seq"])


def downgrade() -> None:
    op.drop_table("usage")
