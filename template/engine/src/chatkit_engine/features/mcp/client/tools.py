"""The tools of a server as the assistant's own: named, filtered, each with a rule for approval."""

import os
import re
import sys
from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import sha256
from typing import Any, cast

import structlog
from agents import FunctionTool, RunContextWrapper
from agents import Tool as AgentTool
from agents.agent import AgentBase
from agents.exceptions import UserError
from agents.mcp import MCPServer, MCPToolMetaContext, MCPUtil
from agents.tool_context import ToolContext
from mcp.types import (
    CallToolResult,
    GetPromptResult,
    ListPromptsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import SecretStr
from pydantic_core import to_json

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only
from chatkit_engine.features.mcp.client.connection import (
    MARGIN_SECONDS,
    WAIT_SECONDS,
    ServerConnection,
)
from chatkit_engine.features.mcp.client.errors import MAX_LOGGED, CallRefused, call_failed
from chatkit_engine.features.mcp.client.results import text_of
from chatkit_engine.features.mcp.server import tool_modules
from chatkit_engine.features.mcp.settings import ServerSettings
from chatkit_engine.features.mcp.users import USER_KEY
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database

log = structlog.stdlib.get_logger(__name__)
OWN_SERVER = "app"
MAX_NAME = 64
HASH = 8
MAX_DESCRIPTION = 4_000
MAX_SCHEMA_BYTES = 20_000
# Every model API accepts the other characters in a tool's name.
FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")


class ServerTools:
    """The tools of one server while it is connected. A change of its list creates them again."""

    def __init__(
        self, connection: ServerConnection, taken_names: Callable[[], Container[str]]
    ) -> None:
        self._connection = connection
        self._server = SharedServer(connection, is_own=connection.name == OWN_SERVER)
        self._taken_names = taken_names
        self._version = -1
        self._tools: Sequence[FunctionTool] = ()

    async def tools(self) -> Sequence[AgentTool]:
        """Return the tools that the assistant may call now: none if the server is unreachable."""
        if not await self._connection.ready():
            return ()
        if self._version != self._connection.changes:
            self._version = self._connection.changes
            self._tools = self._create()
        return self._tools

    def _create(self) -> Sequence[FunctionTool]:
        settings = self._connection.settings
        offered = {tool.name: tool for tool in self._connection.tools if _is_wanted(tool, settings)}
        names = name_tools(self._connection.name, offered, self._taken_names())
        return [self._tool(tool, names[tool.name]) for tool in offered.values()]

    def _tool(self, tool: Tool, name: str) -> FunctionTool:
        described = tool.model_copy(
            update={"description": (tool.description or "")[:MAX_DESCRIPTION]}
        )
        made = MCPUtil.to_function_tool(described, self._server, False, tool_name_override=name)
        made.needs_approval = needs_approval(tool, self._connection.settings)
        made.on_invoke_tool = _text_only(made, is_own=self._server.is_own)
        timeout = self._connection.settings.timeout_seconds
        made.timeout_seconds = timeout + 2 * MARGIN_SECONDS + WAIT_SECONDS
        return read_only(made) if _hints(tool).read_only_hint else made


class SharedServer(MCPServer):
    """A server for the Agents SDK, over the shared connection. The model receives only texts.

    `is_own` is the application's own server, whose error messages are written for the model. Error
    messages of other servers go to the log only.
    """

    def __init__(self, connection: ServerConnection, *, is_own: bool) -> None:
        sends_user = is_own or connection.settings.send_user
        super().__init__(
            failure_error_function=call_failed, tool_meta_resolver=_user if sends_user else None
        )
        self.connection = connection
        self.is_own = is_own

    @property
    def name(self) -> str:
        return self.connection.name

    async def connect(self) -> None:
        """Do nothing: the connection is opened in the background."""

    async def cleanup(self) -> None:
        """Do nothing: the connection is closed with the application."""

    async def list_tools(
        self,
        run_context: RunContextWrapper[Any] | None = None,
        agent: AgentBase[Any] | None = None,
    ) -> list[Tool]:
        return [*self.connection.tools]

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        result = await self.connection.call(tool_name, arguments, meta)
        text = text_of(result)
        if result.is_error and not self.is_own:
            log.warning(
                "an MCP tool failed", server=self.name, tool=tool_name, said=text[:MAX_LOGGED]
            )
            raise CallRefused(self.name)
        return CallToolResult(content=[TextContent(text=text)])

    async def list_prompts(self) -> ListPromptsResult:
        return ListPromptsResult(prompts=[])

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None
    ) -> GetPromptResult:
        raise UserError("the assistant uses the tools of servers, but not their prompts")


def _user(context: MCPToolMetaContext) -> dict[str, Any]:
    return {USER_KEY: context.run_context.context.user.id}


def name_tools(server: str, tools: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return unique names of the form `server_tool`, by tool.

    A name that would be too long, or is taken, ends with a hash of the tool's own name.
    """
    names: dict[str, str] = {}
    for tool in tools:
        name = FORBIDDEN.sub("_", f"{server}_{tool}")
        if len(name) > MAX_NAME or name in taken or name in names.values():
            name = f"{name[: MAX_NAME - HASH - 1]}_{sha256(tool.encode()).hexdigest()[:HASH]}"
        names[tool] = name
    return names


def own_server_settings(app: str, settings: Settings, database: Database) -> ServerSettings | None:
    """Return how to start the application's own server, as a process beside it.

    None if the process could not see the database, or has no tools for the assistant. It inherits
    the environment, and gets the database's URL in case that is not from the environment.
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


def needs_approval(tool: Tool, settings: ServerSettings) -> bool:
    """Return whether a call waits for the user. "auto" does if the tool may change something."""
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
    """Return whether the schema is valid. Model APIs refuse a request with an invalid one."""
    schema = tool.input_schema
    is_object = schema.get("type") == "object" and isinstance(schema.get("properties", {}), dict)
    if is_object and len(to_json(schema)) <= MAX_SCHEMA_BYTES:
        return True
    log.warning("ignored a tool of an MCP server because of its schema", tool=tool.name[:100])
    return False


def _text_only(tool: FunctionTool, *, is_own: bool) -> Callable[..., Any]:
    """Return the tool's function with text as output. Other servers' output is untrusted."""
    invoke = tool.on_invoke_tool

    async def invoke_for_text(context: ToolContext[TurnContext], arguments: str) -> str:
        output = await invoke(context, arguments)
        if not isinstance(output, dict):
            return str(output)
        if not is_own:
            context.context.mark_untrusted()
        return str(cast(dict[str, Any], output)["text"])

    return invoke_for_text
