"""A server's tools as the assistant's own: named, filtered, and each with a rule on approval."""

from collections.abc import Callable, Container, Sequence
from typing import Any, cast

import structlog
from agents import FunctionTool
from agents import Tool as AgentTool
from agents.mcp import MCPUtil
from agents.tool_context import ToolContext
from mcp.types import Tool, ToolAnnotations
from pydantic_core import to_json

from app.chat.context import AssistantContext
from app.chat.trust import read_only
from app.features.mcp.client.connection import MARGIN_SECONDS, PATIENCE_SECONDS, Connection
from app.features.mcp.client.names import name_tools
from app.features.mcp.client.own import OWN
from app.features.mcp.client.server import SharedServer
from app.features.mcp.settings import ServerSettings

MAX_DESCRIPTION = 4_000
MAX_SCHEMA_BYTES = 20_000

log = structlog.stdlib.get_logger(__name__)


class ToolShelf:
    """The tools of one server, as long as it is there. They are made when its list has changed."""

    def __init__(self, connection: Connection, taken: Callable[[], Container[str]]) -> None:
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

    async def told(context: ToolContext[AssistantContext], arguments: str) -> str:
        output = await invoke(context, arguments)
        if not isinstance(output, dict):
            return str(output)
        if not is_own:
            context.context.distrust()
        return str(cast(dict[str, Any], output)["text"])

    return told
