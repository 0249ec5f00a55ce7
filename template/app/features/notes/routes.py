"""`/api/notes`: the user's notes over REST."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, StringConstraints

from app.features.notes.rows import Note
from app.features.notes.service import MAX_TEXT, Notes
from chatkit_engine import CurrentUser, Id, Text

PageSize = Annotated[int, Query(ge=1, le=100)]


class NewNote(BaseModel):
    text: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_TEXT)]


def create_router(notes: Notes) -> APIRouter:
    router = APIRouter(prefix="/api/notes", tags=["notes"])

    @router.post("", status_code=201)
    async def add_note(body: NewNote, user: CurrentUser) -> Note:  # pyright: ignore[reportUnusedFunction]
        """Keep a note."""
        return await notes.add(user, body.text)

    @router.get("")
    async def list_notes(user: CurrentUser, limit: PageSize = 20) -> list[Note]:  # pyright: ignore[reportUnusedFunction]
        """List the newest notes."""
        return await notes.newest(user, limit)

    @router.delete("/{note_id}", status_code=204)
    async def delete_note(note_id: Id, user: CurrentUser) -> None:  # pyright: ignore[reportUnusedFunction]
        """Delete a note."""
        await notes.delete(user, note_id)

    return router
