"""The assistant's tools: one a file. Every function tool in this folder is the assistant's."""

from agents import FunctionTool

from app.discovery import discover


def discover_tools() -> list[FunctionTool]:
    """Return the tools of this folder's modules, sorted by name."""
    return sorted(discover(__name__, __path__, FunctionTool), key=lambda tool: tool.name)
