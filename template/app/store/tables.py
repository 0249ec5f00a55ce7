"""The core's tables. `seq` gives the order; `data` holds the protocol's own JSON.

Times are seconds since the epoch (UTC), written by the database's clock.
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

from app.store.engine import database_now

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

attachments = _rows(
    "attachments",
    Column("id", Text, nullable=False, unique=True),
    _thread_id(nullable=True),
    Column("data", Text, nullable=False),
)

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
)
Index(
    "ix_turns_running",
    turns.c.thread_id,
    unique=True,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)
