"""All that is kept of one user: written out, or erased.

Every table with a `user_id` counts, a feature's and a switched-off feature's among them.

An export is JSON Lines. The first line names the user and the time. Then each row is a line
`{"table": NAME, "row": {COLUMN: VALUE}}`, oldest first, with JSON columns as JSON and times in ISO
8601 (UTC). Files follow in pieces, `{"file": ATTACHMENT_ID, "offset": BYTES, "base64": TEXT}`.
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

from chatkit_engine.store.blob_cleanup import delete_dead_blobs, discard_attachments, uploads_of
from chatkit_engine.store.blobs import BlobMissing, Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.items import HIDDEN_CONTEXT_TYPES
from chatkit_engine.store.tables import attachments, dead_blobs, items, usage

FORMAT = 1
BATCH = 200
JSON_COLUMNS = ("data", "usage")

_SEARCH_INDEXES = """
    SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%' AND sql LIKE '%content=%'
"""

Rows = Callable[[TableClause], ColumnElement[bool]]
Eraser = Callable[[str], Awaitable[None]]


def every_row(source: TableClause) -> ColumnElement[bool]:
    """Leave nothing out: an export for the operator."""
    return true()


def without_hidden_context(source: TableClause) -> ColumnElement[bool]:
    """Leave out what only the model was told: an export for the user."""
    if source.name != items.name:
        return true()
    return source.c.type.not_in(HIDDEN_CONTEXT_TYPES)


async def export_user(
    database: Database, blobs: Blobs, user_id: str, rows: Rows
) -> AsyncIterator[bytes]:
    """Return the lines of the user's export, with the rows that `rows` picks of each table."""
    sources = await database.read(_tables)
    keys = await blobs.keys(user_id)
    return _lines(database, blobs, user_id, {source: rows(source) for source in sources}, keys)


async def _lines(
    database: Database,
    blobs: Blobs,
    user_id: str,
    sources: Mapping[TableClause, ColumnElement[bool]],
    keys: Sequence[str],
) -> AsyncIterator[bytes]:
    now = datetime.now(UTC).isoformat()
    yield _line({"user": user_id, "exported_at": now, "format": FORMAT})
    for source, picked in sources.items():
        after: int | None = 0
        while after is not None:
            rows, after = await database.read(_page, source, picked, user_id, after)
            for row in rows:
                yield _line({"table": source.name, "row": _readable(row)})
    for key in keys:
        with suppress(BlobMissing):
            name, offset = key.rpartition("/")[2], 0
            async for chunk in await blobs.get(key):
                yield _line({"file": name, "offset": offset, "base64": b64encode(chunk).decode()})
                offset += len(chunk)


async def erase_user(
    database: Database, blobs: Blobs, user_id: str, erasers: Sequence[Eraser], *, wipe: bool
) -> dict[str, int]:
    """Delete all that is the user's; return how many rows of each table.

    The `erasers` delete what features keep outside of the database, and come first: what they raise
    leaves the rows, so that nothing is forgotten. With `wipe` what rows have left behind in the
    database's files is overwritten as well, also of rows that were deleted earlier. It locks the
    tables for as long as it takes to write them anew.
    """
    for eraser in erasers:
        await eraser(user_id)
    keys = await blobs.keys(user_id)
    erased = await database.write(_erase, user_id)
    running = await database.read(uploads_of, user_id)
    await blobs.delete([key for key in keys if key not in running])
    while await delete_dead_blobs(database, blobs):
        pass
    if wipe:
        await database.wipe([source.name for source in await database.read(_tables)])
    return erased


def _tables(connection: Connection) -> list[TableClause]:
    """Return the tables with a user in them, those that others refer to first.

    A search index of SQLite's over another table looks like one, and has nothing of its own; an
    index that keeps its texts itself counts.
    """
    inspector = inspect(connection)
    indexes: set[str] = set()
    if connection.dialect.name == "sqlite":
        indexes.update(connection.scalars(text(_SEARCH_INDEXES)))
    tables: list[TableClause] = []
    for name, _ in inspector.get_sorted_table_and_fkc_names():
        names = [found["name"] for found in inspector.get_columns(name)] if name else []
        if name and name not in indexes and "user_id" in names:
            tables.append(table(name, *map(column, names)))
    return tables


def _page(
    connection: Connection,
    source: TableClause,
    picked: ColumnElement[bool],
    user_id: str,
    after: int,
) -> tuple[list[dict[str, Any]], int | None]:
    """Return some of the user's rows, and where to go on; a table without an order comes whole."""
    mine = select(source).where(source.c.user_id == user_id, picked)
    if "seq" in source.c:
        mine = mine.where(source.c.seq > after).order_by(source.c.seq).limit(BATCH)
    rows = [dict(row) for row in connection.execute(mine).mappings()]
    is_last = "seq" not in source.c or len(rows) < BATCH
    return rows, None if is_last else rows[-1]["seq"]


def _erase(connection: Connection, user_id: str) -> dict[str, int]:
    discard_attachments(connection, attachments.c.user_id == user_id)
    # The bytes' own rows go with the bytes, those of an upload that runs at its end.
    sources = [each for each in reversed(_tables(connection)) if each.name != dead_blobs.name]
    # What ends meanwhile holds its turn or its thread while it records what it has used.
    sources.sort(key=lambda source: source.name == usage.name)
    counted = {
        source.name: connection.execute(delete(source).where(source.c.user_id == user_id)).rowcount
        for source in sources
    }
    return {name: count for name, count in counted.items() if count}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if name in JSON_COLUMNS and isinstance(value, str):
        return from_json(value)
    if name.endswith("_at") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value


def _line(value: object) -> bytes:
    return to_json(value, bytes_mode="base64") + b"\n"
