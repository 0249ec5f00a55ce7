"""The core's tables. `seq` gives the order; `data` holds the protocol's own JSON.

Times are seconds since the epoch (UTC), written by the database's clock. Whatever has a `user_id`
is exported and erased with its user, a feature's tables among them.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.schema import SchemaItem

from chatkit_engine.store.database import database_now

metadata = MetaData()
Sequence = BigInteger().with_variant(Integer, "sqlite")
THREAD_ID = "threads.id"


def _rows(name: str, *columns: SchemaItem) -> Table:
    return Table(
        name,
        metadata,
        Column("seq", Sequence, primary_key=True, autoincrement=True),
        Column("user_id", Text, nullable=False),
        *columns,
        Column("created_at", Double, nullable=False, default=database_now()),
        sqlite_autoincrement=True,
    )


def _thread_id(*, nullable: bool = False) -> Column[str]:
    reference = ForeignKey(THREAD_ID, ondelete="CASCADE")
    return Column("thread_id", Text, reference, nullable=nullable)


threads = _rows(
    "threads",
    Column("id", Text, nullable=False, unique=True),
    Column("data", Text, nullable=False),
)

Index("ix_threads_user", threads.c.user_id, threads.c.seq)

items = _rows(
    "items",
    Column("id", Text, nullable=False),
    _thread_id(),
    Column("type", Text, nullable=False),
    Column("text", Text, nullable=False, server_default=""),
    Column("data", Text, nullable=False),
    UniqueConstraint("thread_id", "id"),
)

Index("ix_items_thread", items.c.thread_id, items.c.seq)

Index("ix_items_user", items.c.user_id, items.c.seq)

attachments = _rows(
    "attachments",
    Column("id", Text, nullable=False, unique=True),
    _thread_id(nullable=True),
    Column("data", Text, nullable=False),
    Column("size", BigInteger, comment="Bytes that are stored; null until they are"),
)

Index("ix_attachments_thread", attachments.c.thread_id)

Index("ix_attachments_user", attachments.c.user_id, attachments.c.seq)

feedback = _rows(
    "feedback",
    _thread_id(),
    Column("item_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    UniqueConstraint("thread_id", "item_id"),
)

turns = _rows(
    "turns",
    Column("id", Text, nullable=False, unique=True),
    _thread_id(),
    Column("state", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("lease_expires_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("usage", Text),
    Column("message_id", Text, comment="The user's message that is answered"),
    Column("after_seq", BigInteger, comment="The thread's last item before the turn"),
    Column("idempotency_key", Text),
    Column("fingerprint", Text, comment="SHA-256 of the request that the key came with"),
)

Index("ix_turns_thread", turns.c.thread_id)

Index(
    "ix_turns_running",
    turns.c.thread_id,
    unique=True,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)

IS_KEYED = text("idempotency_key IS NOT NULL")

Index(
    "ix_turns_key",
    turns.c.user_id,
    turns.c.idempotency_key,
    unique=True,
    sqlite_where=IS_KEYED,
    postgresql_where=IS_KEYED,
)

# A row outlives its thread, and goes with its user.
usage = _rows(
    "usage",
    Column("thread_id", Text),
    Column("turn_id", Text),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost", Double, comment="In USD; null where the model's price is not known"),
)

Index("ix_usage_user", usage.c.user_id, usage.c.created_at)

Index("ix_usage_thread", usage.c.thread_id, usage.c.seq)

# Where a deleted thread or item stood, so that a page can go on after it.
tombstones = _rows(
    "tombstones",
    Column("scope", Text, nullable=False, comment="The thread of an item; empty for a thread"),
    Column("id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)

Index("ix_tombstones_id", tombstones.c.id)

Index("ix_tombstones_created", tombstones.c.created_at)

# Bytes whose row is gone or not there yet (`dead_blobs.py`). They are deleted after the
# transaction, and by the sweeper at the latest.
dead_blobs = _rows("dead_blobs", Column("key", Text, nullable=False, unique=True))
