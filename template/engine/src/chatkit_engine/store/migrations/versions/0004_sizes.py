"""The sizes of items and attachments, by which pages and a user's storage are bounded."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"

# The time of a rewrite is proportional to the items. SQLite's length() counts characters.
ITEM_SIZES = {
    "sqlite": "UPDATE items SET size = length(CAST(data AS BLOB))",
    "postgresql": "UPDATE items SET size = octet_length(data)",
}


def upgrade() -> None:
    op.add_column("items", sa.Column("size", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(ITEM_SIZES[op.get_context().dialect.name])
    op.drop_index("ix_items_user", "items")
    op.create_index("ix_items_user", "items", ["user_id", "seq", "size"])
    op.add_column(
        "attachments", sa.Column("reserved", sa.BigInteger, nullable=False, server_default="0")
    )
    op.execute("UPDATE attachments SET reserved = coalesce(size, 0)")


def downgrade() -> None:
    op.drop_column("attachments", "reserved")
    op.drop_index("ix_items_user", "items")
    op.create_index("ix_items_user", "items", ["user_id", "seq"])
    op.drop_column("items", "size")
