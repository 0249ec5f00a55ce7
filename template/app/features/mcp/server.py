"""The project's own MCP server: its tools, and what a caller is told when one fails."""

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.errors import AppError, describe
from app.features.mcp import tools
from app.features.mcp.users import UserOf
from app.store.engine import Database, DatabaseUnavailable

NAME = "chatkit"
INSTRUCTIONS = "What the user has kept here: their notes, and their earlier conversations."
FAILED = "The tool failed. The server's log says why."
WRONG_ARGUMENTS = "The arguments do not fit the tool's schema. {}"
NO_DATABASE = (
    "The database does not answer, or lacks its tables. Run `migrate`, or try again in a few "
    "seconds."
)


class ToolServer(MCPServer[Any]):
    """A server that tells a caller what to do about an error, and never an exception's text."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            cause = error.__cause__
            told = _told(cause)
            raise (ToolError(told) if told else UnexpectedToolError(FAILED)) from cause
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_problems(error.__cause__)) from error.__cause__
            raise


def create_server(database: Database, user_of: UserOf) -> ToolServer:
    """Return a server whose tools act as the user that `user_of` tells of each call."""
    # The tools stay the same, so nobody need hold a stream open to hear of changes.
    server = ToolServer(NAME, instructions=INSTRUCTIONS, subscriptions=False)
    tools.add_tools(server, database, user_of)
    for module in tools.feature_modules():
        module.add_tools(server, database, user_of)
    return server


def _told(cause: BaseException | None) -> str | None:
    """Return what is said of an error that was foreseen."""
    if isinstance(cause, DatabaseUnavailable | SQLAlchemyError):
        return NO_DATABASE
    return cause.detail if isinstance(cause, AppError) else None


def _problems(error: ValidationError) -> str:
    problems = describe(error.errors(include_input=False, include_context=False))
    return WRONG_ARGUMENTS.format(
        "; ".join(f"{each['field']}: {each['message']}" for each in problems)
    )
