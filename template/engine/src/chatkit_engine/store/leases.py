"""Leases on turns, and what is tidied up. These statements alone do not filter on a user.

A lease lasts ten seconds by the database's clock. Whoever holds it renews it with each
checkpoint; a turn whose lease is past may be closed by any process.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Row

from chatkit_engine.errors import RequestRunning, ThreadBusy
from chatkit_engine.store import idempotency
from chatkit_engine.store.blob_cleanup import discard_attachments
from chatkit_engine.store.database import database_now
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.tables import attachments, items, threads, tombstones, turns
from chatkit_engine.store.upsert import run, upsert

LEASE_SECONDS = 10
EXPIRED_SECONDS = 30
NOBODY = ""
BATCH = 200
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


def close_dead(connection: Connection, thread_id: str, process_lock: ProcessLock) -> bool:
    """Close the thread's turn if its process is dead. Say whether there was one."""
    row = connection.execute(_RUNNING, {"thread": thread_id}).first()
    if row is None:
        return False
    dead = row.holder if process_lock.is_dead(row.holder) else ""
    return connection.execute(_CLOSE_DEAD, {"turn": row.id, "dead": dead}).rowcount > 0


def acquire(
    connection: Connection, lease: Lease, process_lock: ProcessLock, message_id: str | None
) -> None:
    """Open the turn that answers the message.

    Raises:
        ThreadBusy: another turn runs on the thread.
        RequestRunning: another turn has the lease's key by now.
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
    if run(connection, _OPEN, values) == 0:
        if lease.key and idempotency.is_taken(connection, lease.user_id, lease.key.value):
            raise RequestRunning
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
    row = connection.execute(_STATE, {"turn": lease.turn_id}).first()
    if row is None or row.state != outcome or row.holder == NOBODY:
        raise LeaseLost(lease.turn_id)
    return False


def close_expired(connection: Connection) -> list[Row[Any, Any]]:
    """Close turns whose lease is long past; return their `thread_id` and `user_id`.

    A lease that has just run out is left to its holder: a database that was away comes back to
    every process at once.
    """
    return list(connection.execute(_CLOSE_EXPIRED))


def expire_threads(connection: Connection, seconds: float) -> int:
    """Delete some of the threads in which nothing was said for so long; return how many."""
    values = {"seconds": seconds}
    locked = connection.scalars(_EXPIRED_THREADS, values).all()
    # Judged again under the lock: something may have been said while it was waited for.
    found = connection.scalars(_STILL_EXPIRED.where(threads.c.id.in_(locked)), values).all()
    in_them = attachments.c.thread_id.in_(found)
    discard_attachments(connection, in_them)
    connection.execute(delete(threads).where(threads.c.id.in_(found)))
    return len(locked)


def forget(connection: Connection) -> None:
    """Forget idempotency keys and deleted rows' places that are older than a day."""
    connection.execute(update(turns).where(idempotency.is_old).values(idempotency.FORGOTTEN))
    connection.execute(delete(tombstones).where(tombstones.c.created_at < _A_DAY_AGO))


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
    .values(state="interrupted", holder=NOBODY, ended_at=database_now())
)

_STATE = select(turns.c.state, turns.c.holder).where(turns.c.id == bindparam("turn"))

_RUNNING = select(turns.c.id, turns.c.holder).where(
    turns.c.thread_id == bindparam("thread"), _is_running
)

_LONG_PAST = turns.c.lease_expires_at < database_now() - literal_column(str(EXPIRED_SECONDS))

_CLOSE_EXPIRED = (
    update(turns)
    .where(
        turns.c.seq.in_(
            select(turns.c.seq)
            .where(_is_running, _LONG_PAST)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
    )
    .values(state="interrupted", holder=NOBODY, ended_at=database_now())
    .returning(turns.c.thread_id, turns.c.user_id)
)

_BEFORE = database_now() - bindparam("seconds")

_STILL_EXPIRED = select(threads.c.id).where(
    threads.c.created_at < _BEFORE,
    ~exists().where(items.c.thread_id == threads.c.id, items.c.created_at >= _BEFORE),
    ~exists().where(turns.c.thread_id == threads.c.id, _is_running),
)

_EXPIRED_THREADS = (
    _STILL_EXPIRED.order_by(threads.c.seq).limit(BATCH).with_for_update(skip_locked=True)
)

_A_DAY_AGO = database_now() - literal_column(str(idempotency.KEY_SECONDS))
