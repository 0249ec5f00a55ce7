"""A server as the Agents SDK sees one. It has no connection of its own: that is the process's."""

from typing import Any

import structlog
from agents import RunContextWrapper
from agents.agent import AgentBase
from agents.exceptions import UserError
from agents.mcp import MCPServer, MCPToolMetaContext
from mcp.types import CallToolResult, GetPromptResult, ListPromptsResult, TextContent, Tool
from pydantic_core import to_json

from chatkit_engine.features.mcp.client.connection import ServerConnection
from chatkit_engine.features.mcp.client.errors import MAX_LOGGED, CallRefused, call_failed
from chatkit_engine.features.mcp.users import USER_KEY

log = structlog.stdlib.get_logger(__name__)


class SharedServer(MCPServer):
    """Calls go over the one connection. Of an answer the model is given the text.

    `is_own` is the project's own server, whose errors are written for the model. What others say
    of an error goes to the log.
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
        """The connection keeps itself."""

    async def cleanup(self) -> None:
        """The connection ends with the application."""

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
        told = text_of(result)
        if result.is_error and not self.is_own:
            log.warning(
                "an MCP tool failed", server=self.name, tool=tool_name, said=told[:MAX_LOGGED]
            )
            raise CallRefused(self.name)
        return CallToolResult(content=[TextContent(text=told)])

    async def list_prompts(self) -> ListPromptsResult:
        return ListPromptsResult(prompts=[])

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None
    ) -> GetPromptResult:
        raise UserError("the assistant takes tools from servers, and no prompts")


def text_of(result: CallToolResult) -> str:
    """Return the texts of an answer, or else its value as JSON; other contents are named."""
    if not result.content and result.structured_content is not None:
        return to_json(result.structured_content).decode()
    texts = [
        part.text if isinstance(part, TextContent) else f"({part.type}, which cannot be shown here)"
        for part in result.content
    ]
    return "\n".join(texts) or "Done."


def _user(context: MCPToolMetaContext) -> dict[str, Any]:
    return {USER_KEY: context.run_context.context.user.id}
