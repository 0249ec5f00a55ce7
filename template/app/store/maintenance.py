"""Leases on turns. These statements serve every user, so they alone do not filter on one.

A lease lasts ten seconds by the database's clock. Whoever holds it renews it with each
checkpoint; a turn whose lease is past may be closed by any process.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import ThreadBusy
from app.store.engine import database_now
from app.store.ids import new_id
from app.store.tables import turns

LEASE_SECONDS = 10

Outcome = Literal["completed", "interrupted", "failed"]


class LeaseLost(Exception):
    """The turn was closed by somebody else, or its thread was deleted: it may write no more."""


@dataclass(frozen=True)
class Lease:
    """The right to write in a thread, for one turn."""

    thread_id: str
    user_id: str
    turn_id: str = field(default_factory=lambda: new_id("turn"))


async def acquire(
    connection: AsyncConnection,
    lease: Lease,
    holder: str,
    is_dead: Callable[[str], bool],
) -> bool:
    """Open the turn, or raise `ThreadBusy`. Say whether a dead turn had to be closed first."""
    closed = await _close_dead(connection, lease.thread_id, is_dead)
    values = {
        "id": lease.turn_id,
        "thread_id": lease.thread_id,
        "user_id": lease.user_id,
        "state": "running",
        "holder": holder,
        "lease_expires_at": database_now() + LEASE_SECONDS,
    }
    try:
        await connection.execute(insert(turns).values(values))
    except IntegrityError:
        raise ThreadBusy from None
    return closed


async def renew(connection: AsyncConnection, lease: Lease) -> None:
    """Prolong the lease; raise `LeaseLost` when it is no longer ours."""
    await _change(connection, lease, lease_expires_at=database_now() + LEASE_SECONDS)


async def close(
    connection: AsyncConnection, lease: Lease, outcome: Outcome, usage: str | None
) -> None:
    """End the turn; raise `LeaseLost` when it is no longer ours."""
    await _change(connection, lease, state=outcome, ended_at=database_now(), usage=usage)


async def _change(connection: AsyncConnection, lease: Lease, **values: object) -> None:
    ours = (turns.c.id == lease.turn_id) & (turns.c.state == "running")
    result = await connection.execute(update(turns).where(ours).values(**values))
    if result.rowcount == 0:
        raise LeaseLost(lease.turn_id)


async def _close_dead(
    connection: AsyncConnection, thread_id: str, is_dead: Callable[[str], bool]
) -> bool:
    running = (turns.c.thread_id == thread_id) & (turns.c.state == "running")
    past = turns.c.lease_expires_at < database_now()
    row = (await connection.execute(select(turns.c.holder, past).where(running))).first()
    if row is None or not (row[1] or is_dead(row[0])):
        return False
    ended = {"state": "interrupted", "ended_at": database_now()}
    await connection.execute(update(turns).where(running).values(**ended))
    return True
