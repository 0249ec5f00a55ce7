"""MCP: the tools of other servers for the assistant, and a server with the project's own tools."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.builder import Builder


def install(builder: "Builder") -> None:
    # The server's own process imports this package too, and has no use for the agents.
    from app.features.mcp.installation import add_to  # noqa: PLC0415

    add_to(builder)
