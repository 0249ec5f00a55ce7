"""NEW: chatkit_engine.store.blob_cleanup

Bytes that no row claims, or not yet: whoever works on such bytes takes their row here first.

`created_at` is the time from which the next one may take the row. Taking it moves that time ahead,
and the new time is the claim: it shows later on that nobody else has taken the row meanwhile. An
upload that is killed leaves its row, and so its bytes to the sweeper. These statements serve every
user.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    literal,
    literal_column,
    select,
    update,
)

from chatkit_engine.errors import Unavailable
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.store.database import Database, database_now
from chatkit_engine.store.tables import attachments, dead_blobs
from chatkit_engine.store.upsert import run, upsert


def delete_attachments(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete attachments, and have their bytes deleted."""
    discard_attachments(connection, which)
    connection.execute(delete(attachments).where(which))


def discard_attachments(connection: Connection, which: ColumnElement[bool]) -> None:
    """Have the bytes of attachments deleted whose rows are about to go.

    Where an upload is under way there is a row already, which the upload will find.
    """
    keys = select(attachments.c.user_id, attachments.c.id, database_now()).where(which)
    names = ["user_id", "key", "created_at"]
    run(connection, upsert(dead_blobs, [], [], lambda insert: insert.from_select(names, keys)))


log = structlog.stdlib.get_logger(__name__)
CLAIM_SECONDS = 360
WORK_SECONDS = 300
BATCH = 500


def claim(connection: Connection, user_id: str, name: str) -> float | None:
    """Take the bytes in order to write them; None when somebody else works on them."""
    claimed_until = _claim_end(connection)
    values: dict[str, Any] = {"user_id": user_id, "key": name, "created_at": claimed_until}
    due = _of(user_id, name) & _is_due
    taken = update(dead_blobs).where(due).values(created_at=claimed_until)
    if run(connection, _INSERT, values) or connection.execute(taken).rowcount:
        return claimed_until
    return None


def keep(connection: Connection, user_id: str, name: str, claimed: float) -> bool:
    """Let the bytes live, now that a row has them. False when somebody else took them over."""
    ours = _of(user_id, name) & _claimed_as(claimed)
    return connection.execute(delete(dead_blobs).where(ours)).rowcount > 0


def uploads_of(connection: Connection, user_id: str) -> set[str]:
    """Return the keys of the user's bytes that are being written: their end clears them away."""
    running = (dead_blobs.c.user_id == user_id) & ~_is_due
    names = connection.scalars(select(dead_blobs.c.key).where(running))
    return {blob_key(user_id, name) for name in names}


def give_up(connection: Connection, user_id: str, name: str, claimed: float) -> None:
    """Leave the bytes to whoever comes next."""
    ours = _of(user_id, name) & _claimed_as(claimed)
    connection.execute(update(dead_blobs).where(ours).values(created_at=database_now()))


async def delete_dead_blobs(database: Database, blobs: Blobs) -> int:
    """Delete bytes that are due, up to some hundred; return how many.

    What fails stays for the next time.
    """
    claimed, names = await database.write(_claim_due)
    if not names:
        return 0
    try:
        async with asyncio.timeout(WORK_SECONDS):
            await blobs.delete([blob_key(user_id, name) for user_id, name in names])
    except (Unavailable, TimeoutError):
        log.warning("deleted files wait for the storage", files=len(names))
        return 0
    await database.write(_forget, claimed, [name for _, name in names])
    return len(names)


def _claim_due(connection: Connection) -> tuple[float, list[tuple[str, str]]]:
    claimed_until = _claim_end(connection)
    due = select(dead_blobs.c.seq).where(_is_due).order_by(dead_blobs.c.seq).limit(BATCH)
    rows = connection.execute(
        update(dead_blobs)
        .where(dead_blobs.c.seq.in_(due), _is_due)
        .values(created_at=claimed_until)
        .returning(dead_blobs.c.user_id, dead_blobs.c.key)
    )
    return claimed_until, [(row.user_id, row.key) for row in rows]


def _forget(connection: Connection, claimed: float, names: Sequence[str]) -> None:
    ours = _claimed_as(claimed) & dead_blobs.c.key.in_(names)
    connection.execute(delete(dead_blobs).where(ours))


def _claim_end(connection: Connection) -> float:
    end = select(database_now() + literal_column(str(CLAIM_SECONDS)))
    return float(connection.scalar(end) or 0)


def _of(user_id: str, name: str) -> ColumnElement[bool]:
    return (dead_blobs.c.user_id == user_id) & (dead_blobs.c.key == name)


def _claimed_as(claimed: float) -> ColumnElement[bool]:
    return dead_blobs.c.created_at == literal(claimed)


_is_due = dead_blobs.c.created_at <= database_now()
_INSERT = upsert(dead_blobs, [], [])
