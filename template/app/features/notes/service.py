"""Adds, lists, pins and deletes a user's notes."""

from app.features.notes import rows
from app.features.notes.rows import Note
from app.features.notes.settings import NotesSettings
from chatkit_engine import Database, User, new_id

MAX_TEXT = 10_000

NEARLY_FULL = 0.9


class Notes:
    """The notes of all users.

    Raises:
        NotFound: from each method that changes one note, if the user has no note with that id.
    """

    def __init__(self, database: Database, settings: NotesSettings) -> None:
        self._database = database
        self._limit = settings.notes_max_per_user

    async def add(self, user: User, text: str) -> Note:
        """Store a note, or raise `Conflict` if the user has the maximum number of notes."""
        return await self.keep(user, new_id("note"), text)

    async def keep(self, user: User, note_id: str, text: str) -> Note:
        """Store a note with this id. Nothing changes if the user has one already.

        Raises:
            Conflict: the user has the maximum number of notes.
        """
        return await self._database.write(rows.add, user.id, note_id, text, self._limit)

    async def room(self, user: User) -> int | None:
        """Return how many more notes the user can store, or None if there is plenty of room."""
        kept = await self.count(user)
        return max(0, self._limit - kept) if kept >= NEARLY_FULL * self._limit else None

    async def count(self, user: User) -> int:
        return await self._database.read(rows.count, user.id)

    async def load(self, user: User, note_id: str) -> Note | None:
        return await self._database.read(rows.load, user.id, note_id)

    async def newest(self, user: User, limit: int) -> list[Note]:
        return await self._database.read(rows.newest, user.id, limit)

    async def pinned_first(self, user: User, limit: int) -> list[Note]:
        return await self._database.read(rows.pinned_first, user.id, limit)

    async def search(self, user: User, words: str, limit: int) -> list[Note]:
        return await self._database.read(rows.search, user.id, words, limit)

    async def pin(self, user: User, note_id: str, pinned: bool) -> None:
        await self._database.write(rows.pin, user.id, note_id, pinned)

    async def delete(self, user: User, note_id: str) -> None:
        await self._database.write(rows.remove, user.id, note_id)

    async def delete_all(self, user: User) -> int:
        """Delete the user's notes, and return how many there were."""
        return await self._database.write(rows.remove_all, user.id)
