"""The specialists: one a file, with a function `create(kit)` that returns the agent."""

from app.agents.team import Specialist
from app.discovery import discover_factories


def discover() -> list[Specialist]:
    """Return what makes this folder's agents, sorted by name."""
    return discover_factories(__name__, __path__)
