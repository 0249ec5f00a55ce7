"""The assistant's tools: one a file. Every function tool in this folder is the assistant's.

A tool that the front end runs is declared beside it, as a `ClientTool` with the result's type.
"""

from agents import FunctionTool

from app.chat.client_tools import ClientTool
from app.discovery import discover


def discover_tools() -> list[FunctionTool]:
    """Return the tools of this folder's modules, sorted by name."""
    return sorted(discover(__name__, __path__, FunctionTool), key=lambda tool: tool.name)


def discover_client_tools() -> list[ClientTool]:
    """Return the client tools that this folder's modules declare."""
    return discover(__name__, __path__, ClientTool)
