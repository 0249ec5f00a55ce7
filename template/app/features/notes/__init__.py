"""Notes: a user's own short texts, over REST, as tools of the assistant, and as widgets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.builder import Builder


def install(builder: "Builder") -> None:
    # The MCP server's process imports this package too, and has no use for the agents.
    from app.features.notes.installation import add_to  # noqa: PLC0415

    add_to(builder)
