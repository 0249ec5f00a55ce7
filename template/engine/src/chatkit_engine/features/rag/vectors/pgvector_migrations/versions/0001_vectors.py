"""Vectors beside the chunks, in a type that the extension `vector` brings."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR

from chatkit_engine.features.rag.vectors.pgvector_tables import require_extension

revision: str = "0001"
down_revision: str | None = None


def _text(name: str, *constraints: sa.ForeignKey, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *constraints, nullable=False, unique=unique)


def upgrade() -> None:
    require_extension(op.get_bind())
    op.create_table(
        "rag_vectors",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=True),
        _text("user_id"),
        _text("chunk_id", sa.ForeignKey("rag_chunks.id", ondelete="CASCADE"), unique=True),
        _text("document_id"),
        _text("embedder"),
        sa.Column("embedding", VECTOR(), nullable=False),
    )
    op.create_index("ix_rag_vectors_user", "rag_vectors", ["user_id", "document_id"])


def downgrade() -> None:
    op.drop_table("rag_vectors")
