"""All that is kept of one user: written out, or erased.

Every table with a `user_id` counts, a feature's and a switched-off feature's among them.

An export is JSON Lines. The first line names the user and the time. Then each row is a line
`{"table": NAME, "row": {COLUMN: VALUE}}`, oldest first, with JSON columns as JSON and times in ISO
8601 (UTC). Files follow in pieces, `{"file": ATTACHMENT_ID, "offset": BYTES, "base64": TEXT}`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
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
)

from app.store.blobs import Blobs
from app.store.engine import Database, database_now
from app.store.search_sqlite import rebuild_index
from app.store.tables import dead_blobs

FORMAT = 1
BATCH = 200
JSON_COLUMNS = ("data", "usage")


async def export_user(database: Database, blobs: Blobs, user_id: str) -> AsyncIterator[bytes]:
    """Yield the lines of the user's export."""
    now = datetime.now(UTC).isoformat()
    yield _line({"user": user_id, "exported_at": now, "format": FORMAT})
    for source in await database.read(_tables):
        after: int | None = 0
        while after is not None:
            rows, after = await database.read(_page, source, user_id, after)
            for row in rows:
                yield _line({"table": source.name, "row": _readable(row)})
    for key in await blobs.keys(user_id):
        name, offset = key.rpartition("/")[2], 0
        async for chunk in await blobs.get(key):
            yield _line({"file": name, "offset": offset, "base64": b64encode(chunk).decode()})
            offset += len(chunk)


async def erase_user(
    database: Database, blobs: Blobs, user_id: str, *, wipe: bool
) -> dict[str, int]:
    """Delete all that is the user's; return how many rows of each table.

    With `wipe` what the rows left behind in the database's files is overwritten as well, which
    locks the tables for as long as it takes to write them anew.
    """
    erased = await database.write(_erase, user_id)
    await blobs.delete_user(user_id)
    if wipe and erased:
        await database.wipe(list(erased))
    return erased


def _tables(connection: Connection) -> list[TableClause]:
    """Return the tables with a user in them, those that others refer to first."""
    inspector = inspect(connection)
    tables: list[TableClause] = []
    for name, _ in inspector.get_sorted_table_and_fkc_names():
        names = [found["name"] for found in inspector.get_columns(name)] if name else []
        if name and "user_id" in names:
            tables.append(table(name, *map(column, names)))
    return tables


def _page(
    connection: Connection, source: TableClause, user_id: str, after: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return some of the user's rows, and where to go on; a table without an order comes whole."""
    mine = select(source).where(source.c.user_id == user_id)
    if "seq" in source.c:
        mine = mine.where(source.c.seq > after).order_by(source.c.seq).limit(BATCH)
    rows = [dict(row) for row in connection.execute(mine).mappings()]
    is_last = "seq" not in source.c or len(rows) < BATCH
    return rows, None if is_last else rows[-1]["seq"]


def _erase(connection: Connection, user_id: str) -> dict[str, int]:
    counted = {
        source.name: connection.execute(delete(source).where(_to_go(source, user_id))).rowcount
        for source in reversed(_tables(connection))
    }
    erased = {name: count for name, count in counted.items() if count}
    if "items" in erased and connection.dialect.name == "sqlite":
        rebuild_index(connection)
    return erased


def _to_go(source: TableClause, user_id: str) -> ColumnElement[bool]:
    """An upload that runs keeps its claim: by that its bytes are found and deleted at its end."""
    mine = source.c.user_id == user_id
    if source.name == dead_blobs.name:
        mine &= source.c.created_at <= database_now()
    return mine


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
