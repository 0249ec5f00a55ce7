"""The assistant's tools for notes."""

from agents import FunctionTool, RunContextWrapper, function_tool

from app.features.notes.drafts import show_draft
from app.features.notes.service import MAX_TEXT, Notes
from app.features.notes.widgets import LISTED, list_as_it_comes
from chatkit_engine import AppError, TurnContext, _, read_only

WRONG_TEXT = f"A note needs between 1 and {MAX_TEXT} characters."


def create_tools(notes: Notes) -> list[FunctionTool]:
    @function_tool
    async def add_note(ctx: RunContextWrapper[TurnContext], text: str) -> str:
        """Keep a note for the user.

        Args:
            text: The note, in the user's own words.
        """
        if not _is_text(text):
            return WRONG_TEXT
        try:
            note = await notes.add(ctx.context.user, text)
        except AppError as error:
            return error.detail
        await _warn(ctx.context, notes)
        return f"Noted: {note.text}"

    @read_only
    @function_tool
    async def draft_note(ctx: RunContextWrapper[TurnContext], text: str) -> str:
        """Show the user a note that you have written, for them to change, save or discard.

        Args:
            text: The note.
        """
        if not _is_text(text):
            return WRONG_TEXT
        await show_draft(ctx.context, text)
        return "The user sees the draft. It is kept when they save it."

    @read_only
    @function_tool
    async def list_notes(ctx: RunContextWrapper[TurnContext]) -> str:
        """List the user's newest notes, for yourself to read."""
        newest = await notes.newest(ctx.context.user, LISTED)
        return "\n".join(f"- {note.text}" for note in newest) or "There are no notes yet."

    @read_only
    @function_tool
    async def show_notes(ctx: RunContextWrapper[TurnContext]) -> str:
        """Show the user their notes, to pin and to delete them."""
        await ctx.context.stream_widget(list_as_it_comes(ctx.context, notes))
        return "The user sees their notes. Do not repeat them."

    @function_tool(needs_approval=True)
    async def delete_all_notes(ctx: RunContextWrapper[TurnContext]) -> str:
        """Delete all of the user's notes, for good."""
        return f"Deleted {await notes.delete_all(ctx.context.user)} notes."

    return [add_note, draft_note, list_notes, show_notes, delete_all_notes]


async def _warn(context: TurnContext, notes: Notes) -> None:
    room = await notes.room(context.user)
    if room is not None:
        message = _("There is room for {count} more notes. Delete some in time.", count=room)
        await context.notice("warning", message)


def _is_text(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and "\x00" not in text
