"""What a thread remembers for the model and never shows: tool calls, and what was blocked.

Records stand among the thread's items, in their order, and go with the turn that wrote them. The
protocol's statements leave them out.
"""

from typing import Literal

from chatkit.types import HiddenContextItem, SDKHiddenContextItem, ThreadItem, ThreadItemBase
from pydantic import JsonValue
from typing_extensions import TypeIs

CallStatus = Literal["completed", "waiting", "running", "refused", "unknown"]


class ToolCall(ThreadItemBase):
    """A call of a tool with its output: one record, so that neither is ever without the other.

    Its id is the call's id for the model too: not every server keeps the ones that it gives apart.

    A call that needs the user's approval is `waiting`, then `running`, then `completed`; or
    `refused`; or `unknown` when the process ended while it ran. The widget `widget_id` shows it, in
    `language`. `result` is a typed result's JSON. `untrusted` is an output that may have a text of
    somebody else in it.
    """

    type: Literal["tool_call"] = "tool_call"
    name: str
    arguments: str
    agent: str = ""
    status: CallStatus = "completed"
    output: str = ""
    result: JsonValue = None
    untrusted: bool = False
    widget_id: str | None = None
    language: str = "en"


class Blocked(ThreadItemBase):
    """Says that the model is not to see the turn it stands in: a guardrail stopped the message."""

    type: Literal["blocked"] = "blocked"


Record = ToolCall | Blocked
StoredItem = ThreadItem | Record
RECORD_TYPES = ("tool_call", "blocked")
HIDDEN_CONTEXT_TYPES = ("hidden_context_item", "sdk_hidden_context")
UNTRUSTED = "untrusted"
"""In a thread's metadata: its model has read a text of somebody else."""
HIDDEN = (HiddenContextItem, SDKHiddenContextItem, ToolCall, Blocked)


def is_record(item: StoredItem) -> TypeIs[Record]:
    """Say whether it is a record, which the protocol does not know."""
    return isinstance(item, ToolCall | Blocked)


def is_hidden(item: object) -> bool:
    """Say whether a client may never see the item."""
    return isinstance(item, HIDDEN)
