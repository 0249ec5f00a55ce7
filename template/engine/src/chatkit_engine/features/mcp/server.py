"""The application's own MCP server: its tools, and the messages for calls that fail.

A feature adds tools with a module `mcp_tools` in its folder. The module has a function
`add_tools(server, database, user_of)`, and `FOR_THE_ASSISTANT`: the names of the tools that the
assistant gets too.
"""

from collections.abc import Collection
from typing import Annotated, Any, Protocol, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from chatkit_engine.context import Text
from chatkit_engine.discovery import feature_modules
from chatkit_engine.errors import AppError, describe_errors
from chatkit_engine.features.mcp.users import UserOf
from chatkit_engine.store.database import Database
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.search import search_messages

Query = Annotated[Text, StringConstraints(min_length=1, max_length=500)]
Limit = Annotated[int, Field(ge=1, le=50)]
NAME = "chatkit"
INSTRUCTIONS = "The user's data: their notes and their earlier conversations."
FAILED = "The tool failed. The server's log says why."
WRONG_ARGUMENTS = "The arguments do not fit the tool's schema. {}"
NO_DATABASE = (
    "The database does not answer, or its tables are missing. Run `migrate`, or try again in a few "
    "seconds."
)


class ToolModule(Protocol):
    """A feature's module `mcp_tools`."""

    FOR_THE_ASSISTANT: Collection[str]

    def add_tools(self, server: MCPServer[Any], database: Database, user_of: UserOf) -> None: ...


class ToolServer(MCPServer[Any]):
    """A server whose errors say what to do, and never contain an exception's text."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            cause = error.__cause__
            message = _message_for(cause)
            raise (ToolError(message) if message else UnexpectedToolError(FAILED)) from cause
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_problems(error.__cause__)) from error.__cause__
            raise


def create_server(app: str, database: Database, user_of: UserOf) -> ToolServer:
    """Return a server whose tools act for the user that `user_of` finds for each call."""
    # The list of tools never changes, so clients need no stream to be notified of changes.
    server = ToolServer(NAME, instructions=INSTRUCTIONS, subscriptions=False)
    add_tools(server, database, user_of)
    for module in tool_modules(app):
        module.add_tools(server, database, user_of)
    return server


def tool_modules(app: str) -> list[ToolModule]:
    """Return the modules `mcp_tools` of the application's features, sorted by feature."""
    return [cast(ToolModule, each) for each in feature_modules(app, "mcp_tools").values()]


def add_tools(server: MCPServer[Any], database: Database, user_of: UserOf) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    async def search_threads(  # pyright: ignore[reportUnusedFunction]
        query: Query, context: Context[Any, Any], limit: Limit = 5
    ) -> list[dict[str, str]]:
        """Search the user's earlier conversations for messages with any of the words."""
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


def _message_for(cause: BaseException | None) -> str | None:
    """Return the message of an expected error, or None for any other."""
    if isinstance(cause, DatabaseUnavailable | SQLAlchemyError):
        return NO_DATABASE
    return cause.detail if isinstance(cause, AppError) else None


def _problems(error: ValidationError) -> str:
    problems = describe_errors(error.errors(include_input=False, include_context=False))
    return WRONG_ARGUMENTS.format(
        "; ".join(f"{each['field']}: {each['message']}" for each in problems)
    )
