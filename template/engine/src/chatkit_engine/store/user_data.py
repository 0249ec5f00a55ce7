"""Exports or erases everything that is stored about one user.

Every table with a column `user_id` counts, also those of features, even if they are switched off.

An export is JSON Lines. The first line has the user and the time. Then each row is a line
`{"table": NAME, "row": {COLUMN: VALUE}}`, oldest first, with JSON columns as JSON and times in ISO
8601 (UTC). Files follow in chunks: `{"file": ATTACHMENT_ID, "offset": BYTES, "base64": TEXT}`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import (
    ColumnElement,
    Connection,
    TableClause,
    column,
    delete,
    inspect,
    select,
    table,
    text,
    true,
)

from chatkit_engine.store.blob_cleanup import (
    delete_dead_blobs,
    mark_blobs_dead,
    running_uploads,
)
from chatkit_engine.store.blobs import BlobMissing, Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.items import HIDDEN_CONTEXT_TYPES
from chatkit_engine.store.tables import attachments, dead_blobs, items, usage

FORMAT = 1
BATCH = 200
JSON_COLUMNS = ("data", "usage")

# An FTS5 table with `content=` only indexes another table, whose rows are exported and erased.
EXTERNAL_INDEXES = """
    SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%' AND sql LIKE '%content=%'
"""

RowFilter = Callable[[TableClause], ColumnElement[bool]]
Eraser = Callable[[str], Awaitable[None]]


def every_row(source: TableClause) -> ColumnElement[bool]:
    """Export every row, for the operator."""
    return true()


def without_hidden_context(source: TableClause) -> ColumnElement[bool]:
    """Export what the user may see: every row but the items that only the model reads."""
    if source.name != items.name:
        return true()
    return source.c.type.not_in(HIDDEN_CONTEXT_TYPES)


async def export_user(
    database: Database, blobs: Blobs, user_id: str, rows: RowFilter
) -> AsyncIterator[bytes]:
    """Return the lines of the user's export. `rows` filters the rows of each table.

    Raises:
        DatabaseUnavailable, BlobsUnavailable: before the first line, so that a response can fail.
    """
    sources = await database.read(_tables)
    keys = await blobs.keys(user_id)
    return _lines(database, blobs, user_id, {source: rows(source) for source in sources}, keys)


async def erase_user(
    database: Database,
    blobs: Blobs,
    user_id: str,
    erasers: Sequence[Eraser],
    *,
    wipe: bool = False,
) -> dict[str, int]:
    """Delete the user's rows and files; return the number of deleted rows by table.

    The `erasers` delete what features keep outside of the database. They run first, because the
    rows that say what to delete must still be there if one of them fails.

    With `wipe` the database's files are rewritten, so that they no longer contain the bytes of
    deleted rows, including rows that were deleted earlier. See `Database.wipe` for the locks.
    """
    for eraser in erasers:
        await eraser(user_id)
    keys = await blobs.keys(user_id)
    erased = await database.write(_erase, user_id)
    running = await database.read(running_uploads, user_id)
    # A running upload deletes its own blob when it finds its row gone.
    await blobs.delete([key for key in keys if key not in running])
    while await delete_dead_blobs(database, blobs):
        pass
    if wipe:
        await database.wipe([source.name for source in await database.read(_tables)])
    return erased


def _erase(connection: Connection, user_id: str) -> dict[str, int]:
    mark_blobs_dead(connection, attachments.c.user_id == user_id)
    # The rows of `dead_blobs` are needed until the blobs are deleted.
    sources = [each for each in reversed(_tables(connection)) if each.name != dead_blobs.name]
    # Usage is last, because a turn that is ending locks its own row before it records its usage:
    # once that row is deleted, no more usage can be added.
    sources.sort(key=lambda source: source.name == usage.name)
    deleted = {
        source.name: connection.execute(delete(source).where(source.c.user_id == user_id)).rowcount
        for source in sources
    }
    return {name: count for name, count in deleted.items() if count}


async def _lines(
    database: Database,
    blobs: Blobs,
    user_id: str,
    sources: Mapping[TableClause, ColumnElement[bool]],
    keys: Sequence[str],
) -> AsyncIterator[bytes]:
    now = datetime.now(UTC).isoformat()
    yield _line({"user": user_id, "exported_at": now, "format": FORMAT})
    for source, condition in sources.items():
        after: int | None = 0
        while after is not None:
            rows, after = await database.read(_page, source, condition, user_id, after)
            for row in rows:
                values = {name: _value(name, value) for name, value in row.items()}
                yield _line({"table": source.name, "row": values})
    for key in keys:
        with suppress(BlobMissing):
            name, offset = key.rpartition("/")[2], 0
            async for chunk in await blobs.get(key):
                yield _line({"file": name, "offset": offset, "base64": b64encode(chunk).decode()})
                offset += len(chunk)


def _page(
    connection: Connection,
    source: TableClause,
    condition: ColumnElement[bool],
    user_id: str,
    after: int,
) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of the user's rows and the next `after`. A table without `seq` is one page."""
    query = select(source).where(source.c.user_id == user_id, condition)
    if "seq" in source.c:
        query = query.where(source.c.seq > after).order_by(source.c.seq).limit(BATCH)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    is_last = "seq" not in source.c or len(rows) < BATCH
    return rows, None if is_last else rows[-1]["seq"]


def _tables(connection: Connection) -> list[TableClause]:
    """Return the tables with a column `user_id`; a table comes after those it refers to."""
    inspector = inspect(connection)
    indexes: set[str] = set()
    if connection.dialect.name == "sqlite":
        indexes.update(connection.scalars(text(EXTERNAL_INDEXES)))
    tables: list[TableClause] = []
    for name, _ in inspector.get_sorted_table_and_fkc_names():
        # The last name is None: it stands for foreign keys that form a cycle.
        if name is None or name in indexes:
            continue
        columns = [each["name"] for each in inspector.get_columns(name)]
        if "user_id" in columns:
            tables.append(table(name, *map(column, columns)))
    return tables


def _value(name: str, value: Any) -> Any:
    if name in JSON_COLUMNS and isinstance(value, str):
        return from_json(value)
    if name.endswith("_at") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value


def _line(value: object) -> bytes:
    return to_json(value, bytes_mode="base64") + b"\n"
