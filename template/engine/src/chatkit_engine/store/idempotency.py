"""Idempotency keys: a request that is sent again finds the turn that it started.

A key belongs to one user and is known for a day.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal_column, or_, select, update

from chatkit_engine.store.database import database_now
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.tables import turns

KEY_SECONDS = 24 * 3600
CLEARED: dict[Any, None] = {"idempotency_key": None, "fingerprint": None}

is_old = turns.c.idempotency_key.is_not(None) & (
    turns.c.created_at < database_now() - literal_column(str(KEY_SECONDS))
)
_has_key = (turns.c.user_id == bindparam("user")) & (turns.c.idempotency_key == bindparam("key"))
_later = turns.alias()

# A turn's items end where the next turn in the thread starts.
_UNTIL = (
    select(func.min(_later.c.after_seq))
    .where(_later.c.thread_id == turns.c.thread_id, _later.c.seq > turns.c.seq)
    .scalar_subquery()
)
_FIND = select(
    turns.c.id,
    turns.c.thread_id,
    turns.c.message_id,
    turns.c.fingerprint,
    turns.c.state,
    turns.c.holder,
    turns.c.after_seq,
    (turns.c.lease_expires_at < database_now()).label("is_expired"),
    _UNTIL.label("until_seq"),
).where(_has_key, ~is_old)
_RELOAD = select(_UNTIL).where(turns.c.id == bindparam("turn"))
_IS_TAKEN = select(turns.c.id).where(_has_key)
_RELEASE = (
    update(turns).where(_has_key, or_(is_old, turns.c.id == bindparam("turn"))).values(CLEARED)
)


@dataclass(frozen=True)
class EarlierTurn:
    """The turn that a key started. Its items come after `after_seq`, up to `until_seq`."""

    turn_id: str
    thread_id: str
    message_id: str | None
    fingerprint: str
    state: str
    after_seq: int
    until_seq: int | None


def find(
    connection: Connection, user_id: str, key: str, process_lock: ProcessLock
) -> EarlierTurn | None:
    """Return the turn that the key started. It is interrupted if its process has died."""
    row = connection.execute(_FIND, {"user": user_id, "key": key}).first()
    if row is None:
        return None
    is_dead = row.is_expired or process_lock.is_dead(row.holder)
    return EarlierTurn(
        turn_id=row.id,
        thread_id=row.thread_id,
        message_id=row.message_id,
        fingerprint=row.fingerprint,
        state="interrupted" if row.state == "running" and is_dead else row.state,
        after_seq=row.after_seq,
        until_seq=row.until_seq,
    )


def reload(connection: Connection, turn: EarlierTurn) -> EarlierTurn:
    """Return the turn with its current end, because another turn may have started after it."""
    until_seq = connection.scalar(_RELOAD, {"turn": turn.turn_id})
    return replace(turn, until_seq=until_seq)


def is_taken(connection: Connection, user_id: str, key: str) -> bool:
    """Return whether a turn has the key."""
    return connection.scalar(_IS_TAKEN, {"user": user_id, "key": key}) is not None


def release(connection: Connection, user_id: str, key: str, turn_id: str | None) -> None:
    """Free the key if the turn `turn_id` has it, or a turn that is more than a day old."""
    values: dict[str, Any] = {"user": user_id, "key": key, "turn": turn_id or ""}
    connection.execute(_RELEASE, values)
