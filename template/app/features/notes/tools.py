"""The assistant's tools for notes."""

from agents import FunctionTool, RunContextWrapper, function_tool

from app.chat.context import AssistantContext
from app.errors import AppError
from app.features.notes.service import MAX_TEXT, Notes

LISTED = 10


def create_tools(notes: Notes) -> list[FunctionTool]:
    @function_tool
    async def add_note(ctx: RunContextWrapper[AssistantContext], text: str) -> str:
        """Keep a note for the user.

        Args:
            text: The note, in the user's own words.
        """
        if not 0 < len(text) <= MAX_TEXT or "\x00" in text:
            return f"A note needs between 1 and {MAX_TEXT} characters."
        try:
            note = await notes.add(ctx.context.user, text)
        except AppError as error:
            return error.detail
        return f"Noted: {note.text}"

    @function_tool
    async def list_notes(ctx: RunContextWrapper[AssistantContext]) -> str:
        """List the user's newest notes."""
        newest = await notes.newest(ctx.context.user, LISTED)
        return "\n".join(f"- {note.text}" for note in newest) or "There are no notes yet."

    return [add_note, list_notes]
