"""The notes as tools of the project's MCP server."""

from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field, StringConstraints

from app.features.notes.rows import Note
from app.features.notes.service import MAX_TEXT, Notes
from app.features.notes.settings import NotesSettings
from chatkit_engine import Database, Text, User

# The assistant gets only these over MCP, because it has tools of its own for the rest.
FOR_THE_ASSISTANT = ("search_notes", "delete_note")

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)

DELETES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

NoteText = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_TEXT)]

NoteId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\w-]+$")]

Query = Annotated[Text, StringConstraints(min_length=1, max_length=500)]

Limit = Annotated[int, Field(ge=1, le=100)]


def add_tools(
    server: MCPServer[Any], database: Database, user_of: Callable[[Context[Any, Any]], User]
) -> None:
    notes = Notes(database, NotesSettings())

    @server.tool(annotations=ADDS)
    async def add_note(text: NoteText, context: Context[Any, Any]) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Keep a note for the user, in their own words."""
        return _plain(await notes.add(user_of(context), text))

    @server.tool(annotations=READS)
    async def list_notes(context: Context[Any, Any], limit: Limit = 20) -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
        """List the user's newest notes."""
        return [_plain(note) for note in await notes.newest(user_of(context), limit)]

    @server.tool(annotations=READS)
    async def search_notes(  # pyright: ignore[reportUnusedFunction]
        query: Query, context: Context[Any, Any], limit: Limit = 20
    ) -> list[dict[str, Any]]:
        """List the user's newest notes that have this text in them."""
        found = await notes.search(user_of(context), query, limit)
        return [_plain(note) for note in found]

    @server.tool(annotations=DELETES)
    async def delete_note(note_id: NoteId, context: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        """Delete one of the user's notes, for good. Its id is in the lists of notes."""
        await notes.delete(user_of(context), note_id)
        return f"Deleted the note {note_id}."


def _plain(note: Note) -> dict[str, Any]:
    return note.model_dump(mode="json")
