"""Leases: the right of one process to write in a thread, for one turn.

A lease lasts ten seconds by the database's clock, and its holder renews it with each checkpoint.
Any process may close a turn whose lease has expired. These statements do not filter on a user.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, exists, func, literal_column, select, update
from sqlalchemy.engine import Row

from chatkit_engine.errors import RequestRunning, ThreadBusy
from chatkit_engine.store import idempotency
from chatkit_engine.store.blob_cleanup import mark_blobs_dead
from chatkit_engine.store.database import database_now
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.tables import attachments, items, threads, tombstones, turns
from chatkit_engine.store.upsert import execute_upsert, upsert

LEASE_SECONDS = 10
# The sweeper waits longer than a lease lasts: after an outage of the database, every lease has
# expired, and the holders should be able to go on.
CLOSE_AFTER_SECONDS = 30
NO_HOLDER = ""
BATCH = 200

Outcome = Literal["completed", "interrupted", "failed"]

_is_running = turns.c.state == literal_column("'running'")
_is_expired = turns.c.lease_expires_at < database_now()
_is_ours = (turns.c.id == bindparam("turn")) & _is_running
_lease_end = database_now() + literal_column(str(LEASE_SECONDS))
_newest_item = (
    select(func.coalesce(func.max(items.c.seq), 0))
    .where(items.c.thread_id == turns.c.thread_id)
    .scalar_subquery()
)
_idle_since = database_now() - bindparam("seconds")
_a_day_ago = database_now() - literal_column(str(idempotency.KEY_SECONDS))

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
        lease_expires_at=_lease_end,
    ),
)
_SET_START = update(turns).where(_is_ours).values(after_seq=_newest_item)
_RENEW = update(turns).where(_is_ours).values(lease_expires_at=_lease_end)
_CLOSE = (
    update(turns)
    .where(_is_ours)
    .values(state=bindparam("outcome"), ended_at=database_now(), usage=bindparam("tokens"))
)
_STATE = select(turns.c.state, turns.c.holder).where(turns.c.id == bindparam("turn"))
_RUNNING = select(turns.c.id, turns.c.holder).where(
    turns.c.thread_id == bindparam("thread"), _is_running
)
_CLOSE_DEAD = (
    update(turns)
    .where(_is_ours, _is_expired | (turns.c.holder == bindparam("dead")))
    .values(state="interrupted", holder=NO_HOLDER, ended_at=database_now())
)
_CLOSE_EXPIRED = (
    update(turns)
    .where(
        turns.c.seq.in_(
            select(turns.c.seq)
            .where(
                _is_running,
                turns.c.lease_expires_at
                < database_now() - literal_column(str(CLOSE_AFTER_SECONDS)),
            )
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
    )
    .values(state="interrupted", holder=NO_HOLDER, ended_at=database_now())
    .returning(turns.c.thread_id, turns.c.user_id)
)
_IDLE_THREADS = select(threads.c.id).where(
    threads.c.created_at < _idle_since,
    ~exists().where(items.c.thread_id == threads.c.id, items.c.created_at >= _idle_since),
    ~exists().where(turns.c.thread_id == threads.c.id, _is_running),
)
_LOCK_IDLE_THREADS = (
    _IDLE_THREADS.order_by(threads.c.seq).limit(BATCH).with_for_update(skip_locked=True)
)


class LeaseLost(Exception):
    """Another process has closed the turn, or its thread was deleted. The turn must not write."""


@dataclass(frozen=True)
class RequestKey:
    """A client's idempotency key, and the SHA-256 of the request that it came with."""

    value: str
    fingerprint: str


@dataclass(frozen=True)
class Lease:
    """The right to write in a thread, for one turn."""

    thread_id: str
    user_id: str
    key: RequestKey | None = None
    turn_id: str = field(default_factory=lambda: new_id("turn"))


def acquire(
    connection: Connection, lease: Lease, process_lock: ProcessLock, message_id: str | None
) -> None:
    """Open the turn that answers the message.

    Raises:
        ThreadBusy: another turn is running in the thread.
        RequestRunning: another turn has taken the lease's key in the meantime.
    """
    values: dict[str, Any] = {
        "id": lease.turn_id,
        "thread_id": lease.thread_id,
        "user_id": lease.user_id,
        "holder": process_lock.holder,
        "message_id": message_id,
        "idempotency_key": lease.key.value if lease.key else None,
        "fingerprint": lease.key.fingerprint if lease.key else None,
    }
    if execute_upsert(connection, _OPEN, values) == 0:
        if lease.key and idempotency.is_taken(connection, lease.user_id, lease.key.value):
            raise RequestRunning
        raise ThreadBusy
    # Not part of the insert: that waits for the previous turn's commit, but its snapshot is older
    # and does not contain the items of that turn.
    connection.execute(_SET_START, {"turn": lease.turn_id})


def renew(connection: Connection, lease: Lease) -> None:
    """Extend the lease; raise `LeaseLost` if the turn has been closed."""
    if connection.execute(_RENEW, {"turn": lease.turn_id}).rowcount == 0:
        raise LeaseLost(lease.turn_id)


def close(connection: Connection, lease: Lease, outcome: Outcome, usage: str | None) -> bool:
    """End the turn; raise `LeaseLost` if another process has closed it.

    Return False if the turn already has this outcome, because a commit may succeed although its
    response is lost, and then runs again.
    """
    values = {"turn": lease.turn_id, "outcome": outcome, "tokens": usage}
    if connection.execute(_CLOSE, values).rowcount:
        return True
    row = connection.execute(_STATE, {"turn": lease.turn_id}).first()
    if row is None or row.state != outcome or row.holder == NO_HOLDER:
        raise LeaseLost(lease.turn_id)
    return False


def close_dead(connection: Connection, thread_id: str, process_lock: ProcessLock) -> bool:
    """Close the thread's running turn if its process is dead. Return whether it was closed."""
    row = connection.execute(_RUNNING, {"thread": thread_id}).first()
    if row is None:
        return False
    dead = row.holder if process_lock.is_dead(row.holder) else ""
    return connection.execute(_CLOSE_DEAD, {"turn": row.id, "dead": dead}).rowcount > 0


def close_expired(connection: Connection) -> list[Row[Any, Any]]:
    """Close turns whose lease expired a while ago; return their `thread_id` and `user_id`."""
    return list(connection.execute(_CLOSE_EXPIRED))


def delete_idle_threads(connection: Connection, seconds: float) -> int:
    """Delete a batch of threads without activity for so long; return the number of candidates."""
    values = {"seconds": seconds}
    locked = connection.scalars(_LOCK_IDLE_THREADS, values).all()
    # Check again: a message may have been stored while this waited for the lock.
    idle = connection.scalars(_IDLE_THREADS.where(threads.c.id.in_(locked)), values).all()
    mark_blobs_dead(connection, attachments.c.thread_id.in_(idle))
    connection.execute(delete(threads).where(threads.c.id.in_(idle)))
    return len(locked)


def delete_old_records(connection: Connection) -> None:
    """Delete idempotency keys and tombstones that are older than a day."""
    connection.execute(update(turns).where(idempotency.is_old).values(idempotency.CLEARED))
    connection.execute(delete(tombstones).where(tombstones.c.created_at < _a_day_ago))
