"""The widget of a call that waits for the user's approval, and of one that was decided."""

from pathlib import Path
from typing import Any

from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic_core import from_json, to_json

from app.store.records import CallStatus, ToolCall

MAX_SHOWN = 500
STATES: dict[CallStatus, str] = {
    "waiting": "This needs your approval.",
    "running": "Approved.",
    "completed": "Approved and done.",
    "refused": "Refused.",
    "unknown": "Approved, but cut off: it is unknown whether it was done.",
}
WIDGET = WidgetTemplate.from_file(str(Path(__file__).with_name("approval.widget")))


def widget_of(call: ToolCall) -> DynamicWidgetRoot:
    """Return the widget that shows a call and how it stands."""
    arguments: dict[str, Any] = from_json(call.arguments)
    data = {
        "title": call.name.replace("_", " ").capitalize(),
        "lines": [f"{name}: {_shown(value)}" for name, value in arguments.items()],
        "state": STATES[call.status],
        "waits": call.status == "waiting",
        "yes": "Approve",
        "no": "Refuse",
        "call": call.id,
    }
    return WIDGET.build(data)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
