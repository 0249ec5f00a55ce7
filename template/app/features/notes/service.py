"""Adds, lists and deletes a user's notes."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.engine import Row

from app.context import User
from app.errors import Conflict, NotFound
from app.features.notes.settings import NotesSettings
from app.features.notes.tables import notes
from app.i18n import _
from app.store.engine import Database
from app.store.ids import new_id

MAX_TEXT = 10_000


class Note(BaseModel):
    """A note, with the time it was made in UTC."""

    id: str
    text: str
    created_at: datetime


class Notes:
    """Users' notes. Every statement filters on the user."""

    def __init__(self, database: Database, settings: NotesSettings) -> None:
        self._database = database
        self._limit = settings.notes_max_per_user

    async def add(self, user: User, text: str) -> Note:
        """Keep a note, or raise `Conflict` when the user has as many as they may."""
        return await self._database.write(_add, user.id, text, self._limit)

    async def newest(self, user: User, limit: int) -> list[Note]:
        return await self._database.read(_newest, user.id, limit)

    async def delete(self, user: User, note_id: str) -> None:
        """Delete a note, or raise `NotFound` when the user has none of that id."""
        await self._database.write(_delete, user.id, note_id)


def _add(connection: Connection, user_id: str, text: str, limit: int) -> Note:
    count = select(func.count()).select_from(notes).where(notes.c.user_id == user_id)
    if (connection.scalar(count) or 0) >= limit:
        raise Conflict(_("You have {count} notes. Delete one first.", count=limit))
    values = {"id": new_id("note"), "user_id": user_id, "text": text}
    return _note(connection.execute(insert(notes).values(values).returning(notes)).one())


def _newest(connection: Connection, user_id: str, limit: int) -> list[Note]:
    mine = select(notes).where(notes.c.user_id == user_id)
    rows = connection.execute(mine.order_by(notes.c.seq.desc()).limit(limit))
    return [_note(row) for row in rows]


def _delete(connection: Connection, user_id: str, note_id: str) -> None:
    mine = (notes.c.user_id == user_id) & (notes.c.id == note_id)
    if connection.execute(delete(notes).where(mine)).rowcount == 0:
        raise NotFound(_("This note does not exist."))


def _note(row: Row[Any]) -> Note:
    return Note(id=row.id, text=row.text, created_at=datetime.fromtimestamp(row.created_at, UTC))
