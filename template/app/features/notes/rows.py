"""The SQL statements for notes. Each filters on the user."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update
from sqlalchemy.engine import Row

from app.features.notes.tables import notes
from chatkit_engine import Conflict, NotFound, _


class Note(BaseModel):
    """A note. `created_at` is in UTC."""

    id: str
    text: str
    pinned: bool
    created_at: datetime


def add(connection: Connection, user_id: str, note_id: str, text: str, limit: int) -> Note:
    """Insert a note, or return the one with this id if there is one.

    Raises:
        Conflict: the user has the maximum number of notes.
    """
    if (known := load(connection, user_id, note_id)) is not None:
        return known
    if count(connection, user_id) >= limit:
        raise Conflict(_("You have {count} notes. Delete one first.", count=limit))
    values = {"id": note_id, "user_id": user_id, "text": text}
    return _note(connection.execute(insert(notes).values(values).returning(notes)).one())


def load(connection: Connection, user_id: str, note_id: str) -> Note | None:
    row = connection.execute(select(notes).where(_own(user_id, note_id))).first()
    return _note(row) if row else None


def count(connection: Connection, user_id: str) -> int:
    counted = select(func.count()).select_from(notes).where(notes.c.user_id == user_id)
    return connection.scalar(counted) or 0


def newest(connection: Connection, user_id: str, limit: int) -> list[Note]:
    return _notes(connection, _of(user_id).order_by(notes.c.seq.desc()).limit(limit))


def pinned_first(connection: Connection, user_id: str, limit: int) -> list[Note]:
    order = (notes.c.pinned.desc(), notes.c.seq.desc())
    return _notes(connection, _of(user_id).order_by(*order).limit(limit))


def search(connection: Connection, user_id: str, words: str, limit: int) -> list[Note]:
    """Return the newest notes that contain the text."""
    found = _of(user_id).where(notes.c.text.icontains(words, autoescape=True))
    return _notes(connection, found.order_by(notes.c.seq.desc()).limit(limit))


def pin(connection: Connection, user_id: str, note_id: str, pinned: bool) -> None:
    changed = update(notes).where(_own(user_id, note_id)).values(pinned=pinned)
    _expect_one(connection.execute(changed).rowcount)


def remove(connection: Connection, user_id: str, note_id: str) -> None:
    _expect_one(connection.execute(delete(notes).where(_own(user_id, note_id))).rowcount)


def remove_all(connection: Connection, user_id: str) -> int:
    return connection.execute(delete(notes).where(notes.c.user_id == user_id)).rowcount


def _of(user_id: str) -> Select[Any]:
    return select(notes).where(notes.c.user_id == user_id)


def _own(user_id: str, note_id: str) -> ColumnElement[bool]:
    return (notes.c.user_id == user_id) & (notes.c.id == note_id)


def _expect_one(rows: int) -> None:
    if rows == 0:
        raise NotFound(_("This note does not exist."))


def _notes(connection: Connection, found: Select[Any]) -> list[Note]:
    rows: Sequence[Row[Any]] = connection.execute(found).all()
    return [_note(row) for row in rows]


def _note(row: Row[Any]) -> Note:
    made = datetime.fromtimestamp(row.created_at, UTC)
    return Note(id=row.id, text=row.text, pinned=row.pinned, created_at=made)
