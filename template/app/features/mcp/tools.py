"""The server's tools: those that need no feature, and where features have theirs.

A feature brings tools with a module `mcp_tools` in its folder: a function `add_tools(server,
database, user_of)`, and `FOR_THE_ASSISTANT`, the names of those that the assistant is to have too.
"""

from collections.abc import Collection
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, Protocol, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field, StringConstraints

from app import features
from app.context import Text
from app.features.mcp.users import UserOf
from app.store.engine import Database
from app.store.search import search_messages

MODULE = "mcp_tools"

Query = Annotated[Text, StringConstraints(min_length=1, max_length=500)]
Limit = Annotated[int, Field(ge=1, le=50)]


class ToolModule(Protocol):
    """A feature's module `mcp_tools`."""

    FOR_THE_ASSISTANT: Collection[str]

    def add_tools(self, server: MCPServer[Any], database: Database, user_of: UserOf) -> None: ...


def feature_modules() -> list[ToolModule]:
    """Return the modules `mcp_tools` of the features that have one, sorted by feature."""
    return [
        cast(ToolModule, import_module(f"{features.__name__}.{folder.name}.{MODULE}"))
        for folder in sorted(_folders(), key=lambda folder: folder.name)
        if PathFinder.find_spec(MODULE, [str(folder)])
    ]


def _folders() -> list[Path]:
    """Return the features' folders. None is imported: most have much that a server needs not."""
    return [
        Path(place) / module.name
        for place in features.__path__
        for module in iter_modules([place])
        if module.ispkg
    ]


def add_tools(server: MCPServer[Any], database: Database, user_of: UserOf) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    async def search_threads(  # pyright: ignore[reportUnusedFunction]
        query: Query, context: Context[Any, Any], limit: Limit = 5
    ) -> list[dict[str, str]]:
        """Search the user's earlier conversations: messages that have any of the words."""
        hits = await search_messages(database, user_of(context).id, query, limit)
        return [
            {
                "thread_id": hit.thread_id,
                "item_id": hit.item_id,
                "title": hit.title or "",
                "snippet": hit.snippet,
            }
            for hit in hits
        ]
