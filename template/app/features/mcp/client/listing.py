"""What a server offers, page by page, within bounds."""

import anyio
from mcp import Client
from mcp.types import Tool

LIST_SECONDS = 10
MAX_TOOLS = 100


async def list_tools(client: Client) -> list[Tool]:
    """Return the server's tools, the first hundred of them.

    Raises:
        TimeoutError, MCPError: it does not answer.
    """
    tools: list[Tool] = []
    cursor: str | None = None
    with anyio.fail_after(LIST_SECONDS):
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            if page.next_cursor is None or len(tools) >= MAX_TOOLS:
                return tools[:MAX_TOOLS]
            cursor = page.next_cursor
