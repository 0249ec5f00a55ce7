"""The assistant's tools for notes."""

from agents import RunContextWrapper, function_tool

from app.chat.server import AssistantContext
from app.errors import AppError
from app.features.notes.service import MAX_TEXT, Notes
from app.features.notes.settings import notes_settings

LISTED = 10


@function_tool
async def add_note(ctx: RunContextWrapper[AssistantContext], text: str) -> str:
    """Keep a note for the user.

    Args:
        text: The note, in the user's own words.
    """
    if not 0 < len(text) <= MAX_TEXT:
        return f"A note needs between 1 and {MAX_TEXT} characters."
    try:
        note = await _notes(ctx.context).add(text)
    except AppError as error:
        return error.detail
    return f"Noted: {note.text}"


@function_tool
async def list_notes(ctx: RunContextWrapper[AssistantContext]) -> str:
    """List the user's newest notes."""
    newest = await _notes(ctx.context).newest(LISTED)
    return "\n".join(f"- {note.text}" for note in newest) or "There are no notes yet."


def _notes(context: AssistantContext) -> Notes:
    return Notes(context.database, notes_settings(), context.user)
