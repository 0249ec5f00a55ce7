"""The core's tables. `seq` is the order of the rows; `data` is the protocol's JSON.

Times are seconds since the epoch (UTC), by the database's clock. Every table with a `user_id`,
including those of features, is exported and erased with its user.
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
# SQLite autoincrements only a primary key of type INTEGER.
Sequence = BigInteger().with_variant(Integer, "sqlite")

IS_KEYED = text("idempotency_key IS NOT NULL")
IS_RUNNING = text("state = 'running'")


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
    reference = ForeignKey("threads.id", ondelete="CASCADE")
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
    Column("size", BigInteger, nullable=False, server_default="0", comment="Bytes of the data"),
    UniqueConstraint("thread_id", "id"),
)
Index("ix_items_thread", items.c.thread_id, items.c.seq)
# With the size, so that a user's storage is summed up from the index alone.
Index("ix_items_user", items.c.user_id, items.c.seq, items.c.size)

attachments = _rows(
    "attachments",
    Column("id", Text, nullable=False, unique=True),
    _thread_id(nullable=True),
    Column("data", Text, nullable=False),
    Column("size", BigInteger, comment="In bytes; null until the blob is stored"),
    Column(
        "reserved", BigInteger, nullable=False, server_default="0", comment="Bytes, as announced"
    ),
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
    Column("message_id", Text, comment="The user's message that the turn answers"),
    Column("after_seq", BigInteger, comment="The thread's last item before the turn"),
    Column("idempotency_key", Text),
    Column("fingerprint", Text, comment="SHA-256 of the request with the key"),
)
Index("ix_turns_thread", turns.c.thread_id)
# A thread has at most one running turn.
Index(
    "ix_turns_running",
    turns.c.thread_id,
    unique=True,
    sqlite_where=IS_RUNNING,
    postgresql_where=IS_RUNNING,
)
Index(
    "ix_turns_key",
    turns.c.user_id,
    turns.c.idempotency_key,
    unique=True,
    sqlite_where=IS_KEYED,
    postgresql_where=IS_KEYED,
)

# No foreign key: usage stays when its thread is deleted.
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
    Column("cost", Double, comment="In USD; null if the model's price is unknown"),
)
Index("ix_usage_user", usage.c.user_id, usage.c.created_at)
Index("ix_usage_thread", usage.c.thread_id, usage.c.seq)

# The positions of deleted threads and items, so that a page can start after one (`pages.py`).
tombstones = _rows(
    "tombstones",
    Column("scope", Text, nullable=False, comment="The thread of an item; empty for a thread"),
    Column("id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("ix_tombstones_id", tombstones.c.id)
Index("ix_tombstones_created", tombstones.c.created_at)

# Blobs that are waiting for upload or deletion (`blob_cleanup.py`).
dead_blobs = _rows("dead_blobs", Column("key", Text, nullable=False, unique=True))
