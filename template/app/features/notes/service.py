"""Adds, lists and deletes a user's notes."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Row

from app.context import User
from app.errors import Conflict, NotFound
from app.features.notes.settings import NotesSettings
from app.features.notes.tables import notes
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
        mine = notes.c.user_id == user.id
        values = {"id": new_id("note"), "user_id": user.id, "text": text}
        count = select(func.count()).select_from(notes).where(mine)
        async with self._database.write() as connection:
            if (await connection.scalar(count) or 0) >= self._limit:
                raise Conflict(f"You have {self._limit} notes. Delete one first.")
            added = await connection.execute(insert(notes).values(values).returning(notes))
            return _note(added.one())

    async def newest(self, user: User, limit: int) -> list[Note]:
        mine = notes.c.user_id == user.id
        statement = select(notes).where(mine).order_by(notes.c.seq.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_note(row) for row in await connection.execute(statement)]

    async def delete(self, user: User, note_id: str) -> None:
        """Delete a note, or raise `NotFound` when the user has none of that id."""
        mine = (notes.c.user_id == user.id) & (notes.c.id == note_id)
        async with self._database.write() as connection:
            deleted = await connection.execute(delete(notes).where(mine))
        if deleted.rowcount == 0:
            raise NotFound("This note does not exist.")


def _note(row: Row[Any]) -> Note:
    return Note(id=row.id, text=row.text, created_at=datetime.fromtimestamp(row.created_at, UTC))
