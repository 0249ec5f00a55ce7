"""What the model read from somewhere else, and which tools are safe to call after it.

A text from a document or another server may contain instructions. It is marked as data, but a model
may follow it all the same. So once such a text is among what the model reads, in this turn or in an
earlier one of the thread, every tool that does more than read waits for the user's approval. An
answer may repeat it, so a thread that is searched or named brings the same rule with it.
"""

from collections.abc import Iterable
from copy import copy

from agents import FunctionTool, Tool

from chatkit_engine.store.items import StoredItem, ToolCall

MARK = "reads_only"


def read_only(tool: FunctionTool) -> FunctionTool:
    """Mark a tool that leaves nothing changed: it reads, or shows the user something."""
    vars(tool)[MARK] = True
    return tool


def cautious(tool: Tool) -> Tool:
    """Return the tool as it is offered after an untrusted text."""
    if not isinstance(tool, FunctionTool) or MARK in vars(tool):
        return tool
    careful = copy(tool)
    careful.needs_approval = True
    return careful


def has_untrusted(history: Iterable[StoredItem]) -> bool:
    """Say whether a tool's output in the history has brought an untrusted text."""
    return any(isinstance(item, ToolCall) and item.untrusted for item in history)
