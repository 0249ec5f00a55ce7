"""`/api/notes`: the user's notes over REST."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, StringConstraints

from app.context import Text
from app.features.notes.service import MAX_TEXT, Note, Notes
from app.features.notes.settings import notes_settings
from app.http.dependencies import Db, Id
from app.security.authentication import CurrentUser

router = APIRouter(prefix="/api/notes", tags=["notes"])


class NewNote(BaseModel):
    text: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_TEXT)]


def users_notes(database: Db, user: CurrentUser) -> Notes:
    return Notes(database, notes_settings(), user)


UsersNotes = Annotated[Notes, Depends(users_notes)]


@router.post("", status_code=201)
async def add_note(body: NewNote, notes: UsersNotes) -> Note:
    """Keep a note."""
    return await notes.add(body.text)


@router.get("")
async def list_notes(
    notes: UsersNotes, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[Note]:
    """List the newest notes."""
    return await notes.newest(limit)


@router.delete("/{note_id}", status_code=204)
async def delete_note(note_id: Id, notes: UsersNotes) -> None:
    """Delete a note."""
    await notes.delete(note_id)
