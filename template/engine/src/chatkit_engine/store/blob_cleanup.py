"""Blobs that are waiting for upload or deletion, as rows of `dead_blobs`.

Claim a blob's row before you write or delete the blob. `created_at` is the time from which the row
can be claimed; claiming it moves that time ahead, and the new time identifies the claim. If a
process dies during an upload, its row stays, and the sweeper deletes the blob once the claim has
expired.

These statements do not filter on a user, because the sweeper works for all of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, delete, literal, literal_column, select, update

from chatkit_engine.errors import Unavailable
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.store.database import Database, database_now
from chatkit_engine.store.tables import attachments, dead_blobs
from chatkit_engine.store.upsert import execute_upsert, upsert

log = structlog.stdlib.get_logger(__name__)

# A claim outlasts the work, so that nobody else claims the row while it is still going on.
CLAIM_SECONDS = 360
WORK_SECONDS = 300
BATCH = 500

_INSERT = upsert(dead_blobs, [], [])
_is_due = dead_blobs.c.created_at <= database_now()


def claim(connection: Connection, user_id: str, name: str) -> float | None:
    """Claim a blob in order to write it. Return the claim, or None if the blob is claimed."""
    claimed_until = _claim_end(connection)
    values: dict[str, Any] = {"user_id": user_id, "key": name, "created_at": claimed_until}
    take_over = update(dead_blobs).where(_is_blob(user_id, name), _is_due)
    if (
        execute_upsert(connection, _INSERT, values)
        or connection.execute(take_over.values(created_at=claimed_until)).rowcount
    ):
        return claimed_until
    return None


def complete(connection: Connection, user_id: str, name: str, claimed: float) -> bool:
    """Keep a blob that was written. Return False if the claim has been lost."""
    is_ours = _is_blob(user_id, name) & _is_claim(claimed)
    return connection.execute(delete(dead_blobs).where(is_ours)).rowcount > 0


def release(connection: Connection, user_id: str, name: str, claimed: float) -> None:
    """End a claim, so that the blob can be deleted or claimed again."""
    is_ours = _is_blob(user_id, name) & _is_claim(claimed)
    connection.execute(update(dead_blobs).where(is_ours).values(created_at=database_now()))


def running_uploads(connection: Connection, user_id: str) -> set[str]:
    """Return the keys of the user's blobs that are being written."""
    is_running = (dead_blobs.c.user_id == user_id) & ~_is_due
    names = connection.scalars(select(dead_blobs.c.key).where(is_running))
    return {blob_key(user_id, name) for name in names}


def delete_attachments(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete attachments, and have their blobs deleted after the transaction."""
    mark_blobs_dead(connection, which)
    connection.execute(delete(attachments).where(which))


def mark_blobs_dead(connection: Connection, which: ColumnElement[bool]) -> None:
    """Have the blobs of attachments deleted. Call it before the attachments' rows are deleted.

    A running upload has a row already. It notices that the attachment is gone when it completes.
    """
    names = ["user_id", "key", "created_at"]
    rows = select(attachments.c.user_id, attachments.c.id, database_now()).where(which)
    execute_upsert(
        connection, upsert(dead_blobs, [], [], lambda insert: insert.from_select(names, rows))
    )


async def delete_dead_blobs(database: Database, blobs: Blobs) -> int:
    """Delete a batch of blobs that are due; return their number.

    Blobs that cannot be deleted now stay for the next call.
    """
    claimed, names = await database.write(_claim_due)
    if not names:
        return 0
    try:
        async with asyncio.timeout(WORK_SECONDS):
            await blobs.delete([blob_key(user_id, name) for user_id, name in names])
    except (Unavailable, TimeoutError):
        log.warning("the file storage is unavailable: deleted files stay for now", files=len(names))
        return 0
    await database.write(_delete_rows, claimed, [name for _, name in names])
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


def _delete_rows(connection: Connection, claimed: float, names: Sequence[str]) -> None:
    is_ours = _is_claim(claimed) & dead_blobs.c.key.in_(names)
    connection.execute(delete(dead_blobs).where(is_ours))


def _claim_end(connection: Connection) -> float:
    end = select(database_now() + literal_column(str(CLAIM_SECONDS)))
    return float(connection.scalar(end) or 0)


def _is_blob(user_id: str, name: str) -> ColumnElement[bool]:
    return (dead_blobs.c.user_id == user_id) & (dead_blobs.c.key == name)


def _is_claim(claimed: float) -> ColumnElement[bool]:
    return dead_blobs.c.created_at == literal(claimed)
