"""What a user stores in all: the bytes of items, and of files, announced ones included.

It is summed up from the rows themselves, so whatever deletes a row gives its bytes back. For items
the sum reads an index only.
"""

from typing import Any

from sqlalchemy import Column, Connection, bindparam, func, select, text

from chatkit_engine.errors import StorageFull
from chatkit_engine.store.tables import attachments, items

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('storage ' || :user, 0))")


def _sum(size: Column[Any], owner: Column[Any]) -> Any:
    total = func.coalesce(func.sum(size), 0)
    return select(total).where(owner == bindparam("user")).scalar_subquery()


_USED = select(
    _sum(items.c.size, items.c.user_id) + _sum(attachments.c.reserved, attachments.c.user_id)
)


def used_bytes(connection: Connection, user_id: str) -> int:
    """Return the bytes of the user's items and files."""
    return int(connection.scalar(_USED, {"user": user_id}) or 0)


def check_room(connection: Connection, user_id: str, size: int, max_bytes: int) -> None:
    """Check that the user may store `size` bytes more.

    Parallel messages may each pass with what one of them adds, which is little.

    Raises:
        StorageFull: the user has too much already.
    """
    if used_bytes(connection, user_id) + size > max_bytes:
        raise StorageFull


def check_room_for_file(connection: Connection, user_id: str, size: int, max_bytes: int) -> None:
    """Check the same for a file whose row is inserted next, one after another for each user."""
    # SQLite has one writer at a time.
    if connection.dialect.name == "postgresql":
        connection.execute(LOCK, {"user": user_id})
    check_room(connection, user_id, size, max_bytes)
