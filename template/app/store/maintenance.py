"""Leases on turns. These statements serve every user, so they alone do not filter on one.

A lease lasts ten seconds by the database's clock. Whoever holds it renews it with each
checkpoint; a turn whose lease is past may be closed by any process.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, literal_column, select, update

from app.errors import ThreadBusy
from app.store.engine import database_now
from app.store.ids import new_id
from app.store.presence import Presence
from app.store.tables import items, turns
from app.store.upsert import run, upsert

LEASE_SECONDS = 10

Outcome = Literal["completed", "interrupted", "failed"]


class LeaseLost(Exception):
    """The turn was closed by somebody else, or its thread was deleted: it may write no more."""


@dataclass(frozen=True)
class Key:
    """A client's idempotency key, and the SHA-256 of the request that it came with."""

    value: str
    fingerprint: str


@dataclass(frozen=True)
class Lease:
    """The right to write in a thread, for one turn."""

    thread_id: str
    user_id: str
    key: Key | None = None
    turn_id: str = field(default_factory=lambda: new_id("turn"))


def close_dead(connection: Connection, thread_id: str, presence: Presence) -> bool:
    """Close the thread's turn if its process is dead. Say whether there was one."""
    row = connection.execute(_RUNNING, {"thread": thread_id}).first()
    if row is None:
        return False
    dead = row.holder if presence.is_dead(row.holder) else ""
    return connection.execute(_CLOSE_DEAD, {"turn": row.id, "dead": dead}).rowcount > 0


def acquire(
    connection: Connection, lease: Lease, presence: Presence, message_id: str | None
) -> None:
    """Open the turn that answers the message, or raise `ThreadBusy`."""
    values: dict[str, Any] = {
        "id": lease.turn_id,
        "thread_id": lease.thread_id,
        "user_id": lease.user_id,
        "holder": presence.holder,
        "message_id": message_id,
        "idempotency_key": lease.key.value if lease.key else None,
        "fingerprint": lease.key.fingerprint if lease.key else None,
    }
    if run(connection, _OPEN, values) == 0:
        raise ThreadBusy
    # Not in the insert: it waits for the turn before to end, and does not see what that wrote.
    connection.execute(_PLACE, {"turn": lease.turn_id})


def renew(connection: Connection, lease: Lease) -> None:
    """Prolong the lease; raise `LeaseLost` when it is no longer ours."""
    if connection.execute(_RENEW, {"turn": lease.turn_id}).rowcount == 0:
        raise LeaseLost(lease.turn_id)


def close(connection: Connection, lease: Lease, outcome: Outcome, usage: str | None) -> bool:
    """End the turn; raise `LeaseLost` when it is no longer ours.

    Return False when this very end is stored already: a commit whose answer was lost.
    """
    values = {"turn": lease.turn_id, "outcome": outcome, "tokens": usage}
    if connection.execute(_CLOSE, values).rowcount:
        return True
    if connection.scalar(_STATE, {"turn": lease.turn_id}) != outcome:
        raise LeaseLost(lease.turn_id)
    return False


_is_running = turns.c.state == literal_column("'running'")
_is_past = turns.c.lease_expires_at < database_now()
_OURS = (turns.c.id == bindparam("turn")) & _is_running
_LEASE_END = database_now() + literal_column(str(LEASE_SECONDS))
_OPEN = upsert(
    turns,
    [],
    [],
    lambda insert: insert.values(
        id=bindparam("id"),
        thread_id=bindparam("thread_id"),
        user_id=bindparam("user_id"),
        holder=bindparam("holder"),
        message_id=bindparam("message_id"),
        idempotency_key=bindparam("idempotency_key"),
        fingerprint=bindparam("fingerprint"),
        state="running",
        lease_expires_at=_LEASE_END,
    ),
)
_NEWEST_ITEM = (
    select(func.coalesce(func.max(items.c.seq), 0))
    .where(items.c.thread_id == turns.c.thread_id)
    .scalar_subquery()
)
_PLACE = update(turns).where(_OURS).values(after_seq=_NEWEST_ITEM)
_RENEW = update(turns).where(_OURS).values(lease_expires_at=_LEASE_END)
_CLOSE = (
    update(turns)
    .where(_OURS)
    .values(state=bindparam("outcome"), ended_at=database_now(), usage=bindparam("tokens"))
)
_CLOSE_DEAD = (
    update(turns)
    .where(_OURS, _is_past | (turns.c.holder == bindparam("dead")))
    .values(state="interrupted", ended_at=database_now())
)
_STATE = select(turns.c.state).where(turns.c.id == bindparam("turn"))
_RUNNING = select(turns.c.id, turns.c.holder).where(
    turns.c.thread_id == bindparam("thread"), _is_running
)
