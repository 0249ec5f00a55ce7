"""ChatKit's store on SQL. Every statement filters on the user of the context."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import FeedbackKind, Page, ThreadItem, ThreadMetadata
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.engine import Row

from chatkit_engine.errors import BadRequest
from chatkit_engine.i18n import _
from chatkit_engine.store.blob_cleanup import delete_attachments, discard_attachments
from chatkit_engine.store.database import database_now
from chatkit_engine.store.items import (
    HIDDEN_CONTEXT_TYPES,
    RECORD_TYPES,
    THREAD,
    StoredItem,
    decode_item,
    encode_item,
    encode_thread,
    is_record,
    item_text,
)
from chatkit_engine.store.tables import (
    attachments,
    feedback,
    items,
    threads,
    tombstones,
)
from chatkit_engine.store.upsert import run, upsert

MAX_VARIABLES = 500


@dataclass(frozen=True)
class Past:
    """Some of a thread's items, oldest first; older ones stand before the place `older`."""

    items: list[StoredItem]
    older: int | None


def load_thread(connection: Connection, thread_id: str, user_id: str) -> ThreadMetadata:
    data = connection.scalar(_LOAD_THREAD, {"thread": thread_id, "user": user_id})
    if data is None:
        raise NotFoundError(thread_id)
    return THREAD.validate_json(data)


def lock_thread(connection: Connection, thread_id: str, user_id: str) -> ThreadMetadata:
    """Load a thread that nobody else changes or deletes until this transaction ends."""
    data = connection.scalar(_LOCK_THREAD, {"thread": thread_id, "user": user_id})
    if data is None:
        raise NotFoundError(thread_id)
    return THREAD.validate_json(data)


def save_thread(connection: Connection, thread: ThreadMetadata, user_id: str) -> None:
    """Insert or update; an id that is somebody else's raises `NotFoundError`."""
    values = {"id": thread.id, "user_id": user_id, "data": encode_thread(thread)}
    if run(connection, _SAVE_THREAD, values) == 0:
        raise NotFoundError(thread.id)


def delete_thread(connection: Connection, thread_id: str, user_id: str) -> None:
    """Delete the thread with all that belongs to it.

    It is locked first: a message that is stored at the same time brings attachments with it.
    """
    connection.execute(_LOCK_THREAD, {"thread": thread_id, "user": user_id})
    mine = (threads.c.id == thread_id) & (threads.c.user_id == user_id)
    in_it = (attachments.c.thread_id == thread_id) & _by(attachments, user_id)
    discard_attachments(connection, in_it)
    _bury(connection, threads, literal(""), mine)
    connection.execute(delete(threads).where(mine))


def load_items(
    connection: Connection,
    thread_id: str,
    after: str | None,
    limit: int,
    order: str,
    user_id: str,
) -> Page[ThreadItem]:
    scope = {"thread": thread_id, "user": user_id}
    rows = _page(connection, _ITEM_PAGES, scope, after, limit, order)
    return _as_page(_decoded(row.data for row in rows[:limit]), rows, limit)


def load_items_between(
    connection: Connection, thread_id: str, after: int, until: int | None, user_id: str
) -> list[StoredItem]:
    """Return the items and records after one place and up to another, oldest first."""
    mine = _own_items(thread_id, user_id) & (items.c.seq > after)
    if until is not None:
        mine &= items.c.seq <= until
    rows = connection.scalars(select(items.c.data).where(mine).order_by(items.c.seq))
    return _decoded(rows)


def load_past(
    connection: Connection, thread_id: str, before: int | None, limit: int, user_id: str
) -> Past:
    """Return the newest items and records before a place, or of all, oldest first."""
    mine = _own_items(thread_id, user_id)
    if before is not None:
        mine &= items.c.seq < before
    newest = select(items.c.seq, items.c.data).where(mine).order_by(items.c.seq.desc()).limit(limit)
    rows = connection.execute(newest).all()
    older = rows[-1].seq if len(rows) == limit else None
    return Past(_decoded(row.data for row in reversed(rows)), older)


def place_of(connection: Connection, thread_id: str, item_id: str, user_id: str) -> int:
    """Return an item's place in its thread."""
    mine = _own_items(thread_id, user_id) & (items.c.id == item_id)
    place = connection.scalar(select(items.c.seq).where(mine))
    if place is None:
        raise NotFoundError(item_id)
    return place


def save_items(
    connection: Connection, thread_id: str, saved: Sequence[StoredItem], user_id: str
) -> None:
    """Insert or update. The rows come out of the user's own thread: without it, none is written."""
    for item in saved:
        values = {
            "item": item.id,
            "kind": item.type,
            "body": item_text(item),
            "json": encode_item(item),
            "thread": thread_id,
            "user": user_id,
        }
        if run(connection, _SAVE_ITEM, values) == 0:
            raise NotFoundError(thread_id)


def delete_items(
    connection: Connection, thread_id: str, item_ids: Sequence[str], user_id: str
) -> None:
    """Delete items, and the images that they show: those have the items' ids."""
    for start in range(0, len(item_ids), MAX_VARIABLES):
        some = item_ids[start : start + MAX_VARIABLES]
        mine = _own_items(thread_id, user_id) & items.c.id.in_(some)
        judged = (feedback.c.thread_id == thread_id) & _by(feedback, user_id)
        connection.execute(delete(feedback).where(judged & feedback.c.item_id.in_(some)))
        images = (attachments.c.thread_id == thread_id) & _by(attachments, user_id)
        delete_attachments(connection, images & attachments.c.id.in_(some))
        _bury(connection, items, items.c.thread_id, mine)
        connection.execute(delete(items).where(mine))


def replace_item(
    connection: Connection, thread_id: str, before: StoredItem, after: StoredItem, user_id: str
) -> bool:
    """Save an item if the one before it is still what is stored; say whether it was saved."""
    lock_thread(connection, thread_id, user_id)
    stored = load_stored(connection, thread_id, before.id, user_id)
    is_unchanged = encode_item(stored) == encode_item(before)
    if is_unchanged:
        save_items(connection, thread_id, [after], user_id)
    return is_unchanged


def load_threads(
    connection: Connection, after: str | None, limit: int, order: str, user_id: str
) -> Page[ThreadMetadata]:
    rows = _page(connection, _THREAD_PAGES, {"user": user_id}, after, limit, order)
    return _as_page([THREAD.validate_json(row.data) for row in rows[:limit]], rows, limit)


def change_thread(
    connection: Connection, thread_id: str, changes: dict[str, Any], user_id: str
) -> ThreadMetadata:
    """Change some fields of a thread as it is now, and return it."""
    thread = lock_thread(connection, thread_id, user_id).model_copy(update=changes)
    save_thread(connection, thread, user_id)
    return thread


def load_item(connection: Connection, thread_id: str, item_id: str, user_id: str) -> ThreadItem:
    item = load_stored(connection, thread_id, item_id, user_id)
    if is_record(item):
        raise NotFoundError(item_id)
    return item


def title_thread(
    connection: Connection, thread_id: str, title: str, user_id: str
) -> ThreadMetadata | None:
    """Give a thread a title and return it, unless it has one already or is gone."""
    with suppress(NotFoundError):
        if lock_thread(connection, thread_id, user_id).title is None:
            return change_thread(connection, thread_id, {"title": title}, user_id)
    return None


def load_stored(connection: Connection, thread_id: str, item_id: str, user_id: str) -> StoredItem:
    """Return an item or a record."""
    mine = _own_items(thread_id, user_id) & (items.c.id == item_id)
    data = connection.scalar(select(items.c.data).where(mine))
    item = decode_item(data) if data is not None else None
    if item is None:
        raise NotFoundError(item_id)
    return item


def save_feedback(
    connection: Connection, thread_id: str, item_ids: set[str], kind: FeedbackKind, user_id: str
) -> None:
    mine = _own_items(thread_id, user_id) & items.c.id.in_(item_ids)
    mine &= items.c.type.not_in((*RECORD_TYPES, *HIDDEN_CONTEXT_TYPES))
    if connection.scalar(select(func.count()).select_from(items).where(mine)) != len(item_ids):
        raise NotFoundError(thread_id)
    columns = [items.c.user_id, items.c.thread_id, items.c.id, literal(kind), database_now()]
    names = ["user_id", "thread_id", "item_id", "kind", "created_at"]
    judged = select(*columns).where(mine)
    run(
        connection,
        upsert(
            feedback,
            ["thread_id", "item_id"],
            ["kind", "created_at"],
            lambda insert: insert.from_select(names, judged),
        ),
    )


def _bury(
    connection: Connection, table: Table, scope: ColumnElement[str], which: ColumnElement[bool]
) -> None:
    """Remember where the rows that are about to be deleted stood."""
    names = ["user_id", "scope", "id", "position", "created_at"]
    rows = select(table.c.user_id, scope, table.c.id, table.c.seq, database_now()).where(which)
    connection.execute(insert(tombstones).from_select(names, rows))


def _page(
    connection: Connection,
    pages: "_Pages",
    scope: dict[str, str],
    after: str | None,
    limit: int,
    order: str,
) -> Sequence[Row[Any, Any]]:
    """Return up to `limit + 1` rows after the cursor: the extra one says that there are more."""
    descending = order == "desc"
    values = {**scope, "limit": limit + 1}
    if not after:
        return connection.execute(pages.first[descending], values).all()
    cursor = connection.scalar(pages.cursor, {**scope, "after": after})
    if cursor is None:
        raise BadRequest(_("'after' names nothing here. Start again without it."))
    return connection.execute(pages.next[descending], values | {"cursor": cursor}).all()


class _Pages:
    """The statements of a table's pages, made once; a dictionary's key is "descending"."""

    def __init__(self, table: Table, mine: ColumnElement[bool], scope: ColumnElement[str]) -> None:
        page = select(table.c.id, table.c.data).where(mine).limit(bindparam("limit"))
        seq, after = table.c.seq, bindparam("after", type_=Text())
        cursor = bindparam("cursor", type_=table.c.seq.type)
        buried = (tombstones.c.id == after) & (tombstones.c.scope == scope)
        places = union_all(
            select(seq).where(mine & (table.c.id == after)),
            select(tombstones.c.position).where(buried & _by(tombstones, bindparam("user"))),
        ).subquery()
        self.cursor = select(func.max(places.c.seq))
        self.first = {True: page.order_by(seq.desc()), False: page.order_by(seq)}
        self.next = {
            True: self.first[True].where(seq < cursor),
            False: self.first[False].where(seq > cursor),
        }


def _as_page(data: list[Any], rows: Sequence[Row[Any, Any]], limit: int) -> Page[Any]:
    has_more = len(rows) > limit
    return Page(data=data, has_more=has_more, after=rows[limit - 1].id if has_more else None)


def _decoded(rows: Iterable[str]) -> list[Any]:
    return [item for item in map(decode_item, rows) if item is not None]


def _own_items(thread_id: str, user_id: str) -> ColumnElement[bool]:
    return (items.c.thread_id == thread_id) & (items.c.user_id == user_id)


def _by(table: Table, user_id: ColumnElement[str] | str) -> ColumnElement[bool]:
    return table.c.user_id == user_id


_LOAD_THREAD: Select[str] = select(threads.c.data).where(
    threads.c.id == bindparam("thread"), threads.c.user_id == bindparam("user")
)

_LOCK_THREAD = _LOAD_THREAD.with_for_update()
_SAVE_THREAD = upsert(threads, ["id"], ["data"])

_SAVE_ITEM = upsert(
    items,
    ["thread_id", "id"],
    ["type", "text", "data"],
    lambda insert: insert.from_select(
        ["id", "type", "text", "data", "thread_id", "user_id", "created_at"],
        select(
            bindparam("item", type_=Text()),
            bindparam("kind", type_=Text()),
            bindparam("body", type_=Text()),
            bindparam("json", type_=Text()),
            threads.c.id,
            threads.c.user_id,
            database_now(),
        ).where(threads.c.id == bindparam("thread"), threads.c.user_id == bindparam("user")),
    ),
)

_THREAD_PAGES = _Pages(threads, _by(threads, bindparam("user")), literal_column("''"))

_ITEM_PAGES = _Pages(
    items,
    (items.c.thread_id == bindparam("thread"))
    & _by(items, bindparam("user"))
    & and_(*(items.c.type != literal_column(f"'{kind}'") for kind in RECORD_TYPES)),
    bindparam("thread"),
)
