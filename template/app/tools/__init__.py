"""The assistant's tools: one a file, with an `@function_tool`.

A tool that has an agent of its own is made by a function `create(kit)`. A tool that the front end
runs is declared beside it, as a `ClientTool` with the result's type.
"""

from agents import FunctionTool

from app.agents.kit import ToolCreator
from app.chat.client_tools import ClientTool
from app.discovery import discover, discover_factories


def discover_tools() -> list[FunctionTool]:
    """Return the tools of this folder's modules, sorted by name."""
    return sorted(discover(__name__, __path__, FunctionTool), key=lambda tool: tool.name)


def discover_tool_creators() -> list[ToolCreator]:
    """Return what makes the tools that have an agent of their own."""
    return discover_factories(__name__, __path__)


def discover_client_tools() -> list[ClientTool]:
    """Return the client tools that this folder's modules declare."""
    return discover(__name__, __path__, ClientTool)
