"""Threads and their items in the database. Every statement filters on the user."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import FeedbackKind, Page, ThreadItem, ThreadMetadata
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    literal_column,
    select,
)

from chatkit_engine.store.blob_cleanup import delete_attachments, mark_blobs_dead
from chatkit_engine.store.database import database_now
from chatkit_engine.store.items import (
    HIDDEN_CONTEXT_TYPES,
    RECORD_TYPES,
    THREAD,
    UNTRUSTED,
    StoredItem,
    ToolCall,
    decode_item,
    encode_item,
    encode_thread,
    is_record,
    item_text,
)
from chatkit_engine.store.pages import (
    PageQueries,
    bounded,
    leave_tombstones,
    to_page,
    whole_rows,
)
from chatkit_engine.store.tables import attachments, feedback, items, threads
from chatkit_engine.store.upsert import execute_upsert, upsert

# SQLite limits the number of bound parameters in a statement.
MAX_VARIABLES = 500

_LOAD_THREAD: Select[str] = select(threads.c.data).where(
    threads.c.id == bindparam("thread"), threads.c.user_id == bindparam("user")
)
_LOCK_THREAD = _LOAD_THREAD.with_for_update()
_SAVE_THREAD = upsert(threads, ["id"], ["data"])
# The row is selected from the user's thread: without the thread, nothing is inserted.
_SAVE_ITEM = upsert(
    items,
    ["thread_id", "id"],
    ["type", "text", "data", "size"],
    lambda insert: insert.from_select(
        ["id", "type", "text", "data", "size", "thread_id", "user_id", "created_at"],
        select(
            bindparam("item", type_=Text()),
            bindparam("kind", type_=Text()),
            bindparam("body", type_=Text()),
            bindparam("json", type_=Text()),
            bindparam("bytes", type_=BigInteger()),
            threads.c.id,
            threads.c.user_id,
            database_now(),
        ).where(threads.c.id == bindparam("thread"), threads.c.user_id == bindparam("user")),
    ),
)
_THREAD_PAGES = PageQueries(
    threads,
    threads.c.user_id == bindparam("user"),
    literal_column("''", Text()),
    func.length(threads.c.data),
)
_ITEM_PAGES = PageQueries(
    items,
    and_(
        items.c.thread_id == bindparam("thread"),
        items.c.user_id == bindparam("user"),
        *(items.c.type != literal_column(f"'{kind}'") for kind in RECORD_TYPES),
    ),
    bindparam("thread"),
    items.c.size,
)


@dataclass(frozen=True)
class HistoryPage:
    """Some of a thread's items, oldest first, and their bytes.

    `older` is the `before` of the next older page.
    """

    items: list[StoredItem]
    older: int | None
    size: int


def load_thread(connection: Connection, thread_id: str, user_id: str) -> ThreadMetadata:
    data = connection.scalar(_LOAD_THREAD, {"thread": thread_id, "user": user_id})
    if data is None:
        raise NotFoundError(thread_id)
    return THREAD.validate_json(data)


def lock_thread(connection: Connection, thread_id: str, user_id: str) -> ThreadMetadata:
    """Load a thread, and keep others from changing or deleting it until the transaction ends."""
    data = connection.scalar(_LOCK_THREAD, {"thread": thread_id, "user": user_id})
    if data is None:
        raise NotFoundError(thread_id)
    return THREAD.validate_json(data)


def load_threads(
    connection: Connection, after: str | None, limit: int, order: str, user_id: str
) -> Page[ThreadMetadata]:
    page = _THREAD_PAGES.fetch(connection, {"user": user_id}, after, limit, order)
    return to_page([THREAD.validate_json(row.data) for row in page.rows], page)


def save_thread(connection: Connection, thread: ThreadMetadata, user_id: str) -> None:
    """Insert or update a thread.

    Raises:
        NotFoundError: the id belongs to another user.
    """
    values = {"id": thread.id, "user_id": user_id, "data": encode_thread(thread)}
    if execute_upsert(connection, _SAVE_THREAD, values) == 0:
        raise NotFoundError(thread.id)


def update_thread(
    connection: Connection, thread_id: str, changes: dict[str, Any], user_id: str
) -> ThreadMetadata:
    """Change some fields of a thread, and return it."""
    thread = lock_thread(connection, thread_id, user_id).model_copy(update=changes)
    save_thread(connection, thread, user_id)
    return thread


def set_missing_title(
    connection: Connection, thread_id: str, title: str, user_id: str
) -> ThreadMetadata | None:
    """Set a thread's title and return the thread. None if it has a title or was deleted."""
    with suppress(NotFoundError):
        if lock_thread(connection, thread_id, user_id).title is None:
            return update_thread(connection, thread_id, {"title": title}, user_id)
    return None


def mark_untrusted(connection: Connection, thread_id: str, user_id: str) -> None:
    """Note that a model has read text from a third party in the thread."""
    thread = lock_thread(connection, thread_id, user_id)
    thread.metadata[UNTRUSTED] = True
    save_thread(connection, thread, user_id)


def delete_thread(connection: Connection, thread_id: str, user_id: str) -> None:
    """Delete a thread with everything that belongs to it."""
    # Without the lock, a message that is being stored could add attachments that are then missed.
    connection.execute(_LOCK_THREAD, {"thread": thread_id, "user": user_id})
    is_thread = (threads.c.id == thread_id) & (threads.c.user_id == user_id)
    mark_blobs_dead(
        connection, (attachments.c.thread_id == thread_id) & (attachments.c.user_id == user_id)
    )
    leave_tombstones(connection, threads, literal(""), is_thread)
    connection.execute(delete(threads).where(is_thread))


def load_items(
    connection: Connection,
    thread_id: str,
    after: str | None,
    limit: int,
    order: str,
    user_id: str,
) -> Page[ThreadItem]:
    values = {"thread": thread_id, "user": user_id}
    page = _ITEM_PAGES.fetch(connection, values, after, limit, order)
    return to_page(_decode_items(row.data for row in page.rows), page)


def load_items_between(
    connection: Connection, thread_id: str, after: int, until: int | None, user_id: str
) -> list[StoredItem]:
    """Return the items and records after the position `after`, up to `until`, oldest first."""
    condition = _in_thread(thread_id, user_id) & (items.c.seq > after)
    if until is not None:
        condition &= items.c.seq <= until
    rows = connection.scalars(select(items.c.data).where(condition).order_by(items.c.seq))
    return _decode_items(rows)


def load_calls_between(
    connection: Connection, thread_id: str, after: int, until: int | None, user_id: str
) -> dict[str, ToolCall | None]:
    """Return the ids of the items after `after`, up to `until`, and the calls among them.

    The rest of a long thread is not read for it.
    """
    condition = _in_thread(thread_id, user_id) & (items.c.seq > after)
    if until is not None:
        condition &= items.c.seq <= until
    call = case((items.c.type == "tool_call", items.c.data), else_=None).label("call")
    rows = connection.execute(select(items.c.id, call).where(condition)).all()
    decoded = {row.id: decode_item(row.call) if row.call else None for row in rows}
    return {
        item_id: item if isinstance(item, ToolCall) else None for item_id, item in decoded.items()
    }


def load_history_page(
    connection: Connection, thread_id: str, before: int | None, limit: int, user_id: str
) -> HistoryPage:
    """Return the newest items and records, or the newest before the position `before`."""
    condition = _in_thread(thread_id, user_id)
    if before is not None:
        condition &= items.c.seq < before
    columns = [items.c.seq, items.c.data, items.c.size]
    newest = bounded(columns, items.c.seq, items.c.size, condition, limit + 1, "desc")
    page = whole_rows(connection.execute(newest).all(), limit)
    older = page.rows[-1].seq if page.has_more else None
    size = sum(row.size for row in page.rows)
    return HistoryPage(_decode_items(row.data for row in reversed(page.rows)), older, size)


def item_position(connection: Connection, thread_id: str, item_id: str, user_id: str) -> int:
    """Return the position (`seq`) of an item."""
    is_item = _in_thread(thread_id, user_id) & (items.c.id == item_id)
    position = connection.scalar(select(items.c.seq).where(is_item))
    if position is None:
        raise NotFoundError(item_id)
    return position


def load_stored_item(
    connection: Connection, thread_id: str, item_id: str, user_id: str
) -> StoredItem:
    """Return an item or a record."""
    is_item = _in_thread(thread_id, user_id) & (items.c.id == item_id)
    data = connection.scalar(select(items.c.data).where(is_item))
    item = decode_item(data) if data is not None else None
    if item is None:
        raise NotFoundError(item_id)
    return item


def load_item(connection: Connection, thread_id: str, item_id: str, user_id: str) -> ThreadItem:
    """Return an item. A record counts as not found."""
    item = load_stored_item(connection, thread_id, item_id, user_id)
    if is_record(item):
        raise NotFoundError(item_id)
    return item


def save_items(
    connection: Connection, thread_id: str, saved: Sequence[StoredItem], user_id: str
) -> None:
    """Insert or update items.

    Raises:
        NotFoundError: the user has no such thread.
    """
    for item in saved:
        data = encode_item(item)
        values = {
            "item": item.id,
            "kind": item.type,
            "body": item_text(item),
            "json": data,
            "bytes": len(data.encode()),
            "thread": thread_id,
            "user": user_id,
        }
        if execute_upsert(connection, _SAVE_ITEM, values) == 0:
            raise NotFoundError(thread_id)


def replace_item(
    connection: Connection, thread_id: str, before: StoredItem, after: StoredItem, user_id: str
) -> bool:
    """Save `after` if `before` is still what is stored. Return whether it was saved."""
    lock_thread(connection, thread_id, user_id)
    stored = load_stored_item(connection, thread_id, before.id, user_id)
    is_unchanged = encode_item(stored) == encode_item(before)
    if is_unchanged:
        save_items(connection, thread_id, [after], user_id)
    return is_unchanged


def delete_items(
    connection: Connection, thread_id: str, item_ids: Sequence[str], user_id: str
) -> None:
    """Delete items with their feedback and the images that they show, which have the same ids."""
    for start in range(0, len(item_ids), MAX_VARIABLES):
        ids = item_ids[start : start + MAX_VARIABLES]
        rated = (feedback.c.thread_id == thread_id) & (feedback.c.user_id == user_id)
        connection.execute(delete(feedback).where(rated & feedback.c.item_id.in_(ids)))
        images = (attachments.c.thread_id == thread_id) & (attachments.c.user_id == user_id)
        delete_attachments(connection, images & attachments.c.id.in_(ids))
        which = _in_thread(thread_id, user_id) & items.c.id.in_(ids)
        leave_tombstones(connection, items, items.c.thread_id, which)
        connection.execute(delete(items).where(which))


def save_feedback(
    connection: Connection, thread_id: str, item_ids: set[str], kind: FeedbackKind, user_id: str
) -> None:
    """Store feedback on items, replacing earlier feedback on the same items.

    Raises:
        NotFoundError: one of the items does not exist or is hidden.
    """
    which = _in_thread(thread_id, user_id) & items.c.id.in_(item_ids)
    which &= items.c.type.not_in((*RECORD_TYPES, *HIDDEN_CONTEXT_TYPES))
    if connection.scalar(select(func.count()).select_from(items).where(which)) != len(item_ids):
        raise NotFoundError(thread_id)
    names = ["user_id", "thread_id", "item_id", "kind", "created_at"]
    columns = [items.c.user_id, items.c.thread_id, items.c.id, literal(kind), database_now()]
    rows = select(*columns).where(which)
    statement = upsert(
        feedback,
        ["thread_id", "item_id"],
        ["kind", "created_at"],
        lambda insert: insert.from_select(names, rows),
    )
    execute_upsert(connection, statement)


def _in_thread(thread_id: str, user_id: str) -> ColumnElement[bool]:
    return (items.c.thread_id == thread_id) & (items.c.user_id == user_id)


def _decode_items(rows: Iterable[str]) -> list[Any]:
    return [item for item in map(decode_item, rows) if item is not None]
