"""Protection against instructions hidden in texts that the model reads.

A document or another server may contain instructions. Such a text is marked as data, but a model
may follow it all the same. That is why every tool that does more than read needs the user's
approval once an untrusted text is among what the model reads, in this turn or in an earlier one of
the thread. The model's answer may repeat the text, so a thread that another turn searches or names
is untrusted too.
"""

from collections.abc import Iterable
from copy import copy

from agents import FunctionTool, Tool

from chatkit_engine.store.items import StoredItem, ToolCall

READ_ONLY = "reads_only"


def read_only(tool: FunctionTool) -> FunctionTool:
    """Mark a tool that changes nothing: it only reads, or shows the user something."""
    vars(tool)[READ_ONLY] = True
    return tool


def require_approval(tool: Tool) -> Tool:
    """Return the tool so that it needs the user's approval, unless it is read-only."""
    if not isinstance(tool, FunctionTool) or READ_ONLY in vars(tool):
        return tool
    # A copy, because other turns share the tool.
    approved = copy(tool)
    approved.needs_approval = True
    return approved


def has_untrusted(history: Iterable[StoredItem]) -> bool:
    """Return whether the output of a tool in the history contains an untrusted text."""
    return any(isinstance(item, ToolCall) and item.untrusted for item in history)
