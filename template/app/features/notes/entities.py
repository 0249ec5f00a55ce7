"""Lets messages mention the user's notes with `@`."""

from app.features.notes.rows import Note
from app.features.notes.service import Notes
from chatkit_engine import Entity, User, _

MAX_TITLE = 60

GROUP = _("Notes")


class NoteEntities:
    """Notes as entities. The methods are those of `chatkit_engine.Entities`."""

    kind = "note"

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def search(self, user: User, query: str, limit: int) -> list[Entity]:
        return [_entity(note) for note in await self._notes.search(user, query, limit)]

    async def load(self, user: User, entity_id: str) -> Entity | None:
        note = await self._notes.load(user, entity_id)
        return _entity(note) if note else None

    async def describe(self, user: User, entity: Entity) -> str:
        note = await self._notes.load(user, entity.id)
        return note.text if note else ""


def _entity(note: Note) -> Entity:
    title = note.text.strip().partition("\n")[0]
    shown = f"{title[:MAX_TITLE]}…" if len(title) > MAX_TITLE else title
    return Entity(id=note.id, title=shown, icon="notebook", group=GROUP)
