"""Leases on turns. These statements serve every user, so they alone do not filter on one.

A lease lasts ten seconds by the database's clock. Whoever holds it renews it with each
checkpoint; a turn whose lease is past may be closed by any process.
"""

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from app.errors import ThreadBusy
from app.store.engine import database_now
from app.store.ids import new_id
from app.store.presence import Presence
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


def acquire(connection: Connection, lease: Lease, presence: Presence) -> bool:
    """Open the turn, or raise `ThreadBusy`. Say whether a dead turn had to be closed first."""
    closed = _close_dead(connection, lease.thread_id, presence)
    values = {
        "id": lease.turn_id,
        "thread_id": lease.thread_id,
        "user_id": lease.user_id,
        "holder": presence.holder,
    }
    try:
        connection.execute(_OPEN, values)
    except IntegrityError:
        raise ThreadBusy from None
    return closed


def renew(connection: Connection, lease: Lease) -> None:
    """Prolong the lease; raise `LeaseLost` when it is no longer ours."""
    result = connection.execute(_RENEW, {"turn": lease.turn_id})
    if result.rowcount == 0:
        raise LeaseLost(lease.turn_id)


def close(connection: Connection, lease: Lease, outcome: Outcome, usage: str | None) -> None:
    """End the turn; raise `LeaseLost` when it is no longer ours."""
    values = {"turn": lease.turn_id, "outcome": outcome, "tokens": usage}
    result = connection.execute(_CLOSE, values)
    if result.rowcount == 0:
        raise LeaseLost(lease.turn_id)


def _close_dead(connection: Connection, thread_id: str, presence: Presence) -> bool:
    row = (connection.execute(_RUNNING, {"thread": thread_id})).first()
    if row is None or not (row.past or presence.is_dead(row.holder)):
        return False
    connection.execute(_CLOSE, {"turn": row.id, "outcome": "interrupted", "tokens": None})
    return True


_is_running = turns.c.state == literal_column("'running'")
_OURS = (turns.c.id == bindparam("turn")) & _is_running
_LEASE_END = database_now() + literal_column(str(LEASE_SECONDS))
_OPEN = insert(turns).values(
    id=bindparam("id"),
    thread_id=bindparam("thread_id"),
    user_id=bindparam("user_id"),
    holder=bindparam("holder"),
    state="running",
    lease_expires_at=_LEASE_END,
)
_RENEW = update(turns).where(_OURS).values(lease_expires_at=_LEASE_END)
_CLOSE = (
    update(turns)
    .where(_OURS)
    .values(state=bindparam("outcome"), ended_at=database_now(), usage=bindparam("tokens"))
)
_RUNNING = select(
    turns.c.id, turns.c.holder, (turns.c.lease_expires_at < database_now()).label("past")
).where(turns.c.thread_id == bindparam("thread"), _is_running)
