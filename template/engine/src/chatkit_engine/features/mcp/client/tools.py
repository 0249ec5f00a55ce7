"""What the model calls a server's tools: `server_tool`, in characters that every API takes.

The project's own server, which the assistant has too, as a process beside the application.

A server's tools as the assistant's own: named, filtered, and each with a rule on approval."""

import os
import re
import sys
from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import sha256
from typing import Any, cast

import structlog
from agents import FunctionTool
from agents import Tool as AgentTool
from agents.mcp import MCPUtil
from agents.tool_context import ToolContext
from mcp.types import Tool, ToolAnnotations
from pydantic import SecretStr
from pydantic_core import to_json

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only
from chatkit_engine.features.mcp.client.connection import (
    MARGIN_SECONDS,
    PATIENCE_SECONDS,
    ServerConnection,
)
from chatkit_engine.features.mcp.client.server import SharedServer
from chatkit_engine.features.mcp.server import tool_modules
from chatkit_engine.features.mcp.settings import ServerSettings
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database

MAX_NAME = 64
HASH = 8
FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
OWN = "app"
MAX_DESCRIPTION = 4_000
MAX_SCHEMA_BYTES = 20_000
log = structlog.stdlib.get_logger(__name__)


def name_tools(server: str, tools: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return the names by the tool, each another one and none that is taken.

    A name that would be too long, or another's, ends with a hash of the tool's own.
    """
    names: dict[str, str] = {}
    for tool in tools:
        name = FORBIDDEN.sub("_", f"{server}_{tool}")
        if len(name) > MAX_NAME or name in taken or name in names.values():
            name = f"{name[: MAX_NAME - HASH - 1]}_{sha256(tool.encode()).hexdigest()[:HASH]}"
        names[tool] = name
    return names


def own_server(app: str, settings: Settings, database: Database) -> ServerSettings | None:
    """Return how it is started; None where it could not see the database, or has nothing to offer.

    It is this program once more, so it has the same environment. Which database the application
    has is said to it again, in case that is not from there.
    """
    wanted = [name for module in tool_modules(app) for name in module.FOR_THE_ASSISTANT]
    in_memory = database.file is None and database.engine.dialect.name == "sqlite"
    if in_memory or not wanted:
        return None
    env = os.environ | {"DATABASE_URL": settings.database_url}
    return ServerSettings(
        command=sys.executable,
        args=["-m", "chatkit_engine.features.mcp", app],
        env={name: SecretStr(value) for name, value in env.items()},
        tools=wanted,
    )


class ServerTools:
    """The tools of one server, as long as it is there. They are made when its list has changed."""

    def __init__(self, connection: ServerConnection, taken: Callable[[], Container[str]]) -> None:
        self._connection = connection
        self._server = SharedServer(connection, is_own=connection.name == OWN)
        self._taken = taken
        self._made_of = -1
        self._tools: Sequence[FunctionTool] = ()

    async def tools(self) -> Sequence[AgentTool]:
        """Return what the assistant may call just now: nothing, where the server is away."""
        if not await self._connection.ready():
            return ()
        if self._made_of != self._connection.changes:
            self._made_of = self._connection.changes
            self._tools = self._make()
        return self._tools

    def _make(self) -> Sequence[FunctionTool]:
        settings = self._connection.settings
        offered = {tool.name: tool for tool in self._connection.tools if _is_wanted(tool, settings)}
        names = name_tools(self._connection.name, offered, self._taken())
        return [self._tool(tool, names[tool.name]) for tool in offered.values()]

    def _tool(self, tool: Tool, name: str) -> FunctionTool:
        described = tool.model_copy(
            update={"description": (tool.description or "")[:MAX_DESCRIPTION]}
        )
        made = MCPUtil.to_function_tool(described, self._server, False, tool_name_override=name)
        made.needs_approval = needs_approval(tool, self._connection.settings)
        made.on_invoke_tool = _told(made, is_own=self._server.is_own)
        timeout = self._connection.settings.timeout_seconds
        made.timeout_seconds = timeout + 2 * MARGIN_SECONDS + PATIENCE_SECONDS
        return read_only(made) if _hints(tool).read_only_hint else made


def needs_approval(tool: Tool, settings: ServerSettings) -> bool:
    """Say whether the user is asked: "auto" asks where the tool may change or delete something."""
    match settings.approval:
        case "always":
            return True
        case "never":
            return False
        case "auto":
            hints = _hints(tool)
            return not hints.read_only_hint and hints.destructive_hint is not False
        case names:
            return tool.name in names


def _hints(tool: Tool) -> ToolAnnotations:
    return tool.annotations or ToolAnnotations()


def _is_wanted(tool: Tool, settings: ServerSettings) -> bool:
    is_allowed = settings.tools is None or tool.name in settings.tools
    return is_allowed and tool.name not in settings.blocked_tools and _is_usable(tool)


def _is_usable(tool: Tool) -> bool:
    """Say whether a model takes the tool: for one wrong schema an API refuses the request."""
    schema = tool.input_schema
    is_object = schema.get("type") == "object" and isinstance(schema.get("properties", {}), dict)
    if is_object and len(to_json(schema)) <= MAX_SCHEMA_BYTES:
        return True
    log.warning("a tool of an MCP server is left out for its schema", tool=tool.name[:100])
    return False


def _told(tool: FunctionTool, *, is_own: bool) -> Callable[..., Any]:
    """Return the tool's function with a plain text as output, marked where it is a stranger's."""
    invoke = tool.on_invoke_tool

    async def told(context: ToolContext[TurnContext], arguments: str) -> str:
        output = await invoke(context, arguments)
        if not isinstance(output, dict):
            return str(output)
        if not is_own:
            context.context.mark_untrusted()
        return str(cast(dict[str, Any], output)["text"])

    return told
