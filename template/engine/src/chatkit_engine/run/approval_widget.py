"""The widget that shows a tool call and lets the user approve or refuse it."""

from pathlib import Path
from typing import Any

from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic_core import from_json, to_json

from chatkit_engine.i18n import _, translate
from chatkit_engine.store.items import CallStatus, ToolCall

MAX_VALUE = 500
STATES: dict[CallStatus, str] = {
    "waiting": _("This needs your approval."),
    "running": _("Approved."),
    "completed": _("Approved and done."),
    "refused": _("Refused."),
    "unknown": _("Approved, but interrupted: it is unknown whether it was done."),
}
APPROVE, REFUSE = _("Approve"), _("Refuse")
WIDGET = WidgetTemplate.from_file(str(Path(__file__).with_name("approval.widget")))


def build_widget(call: ToolCall) -> DynamicWidgetRoot:
    """Return the widget of a call: its arguments, its status and, while it waits, two buttons."""
    # Always a JSON object: see `tool_calls`.
    arguments: dict[str, Any] = from_json(call.arguments)
    data = {
        "title": call.name.replace("_", " ").capitalize(),
        "lines": [f"{name}: {_format_value(value)}" for name, value in arguments.items()],
        "state": translate(STATES[call.status], call.language),
        "waits": call.status == "waiting",
        "yes": translate(APPROVE, call.language),
        "no": translate(REFUSE, call.language),
        "call": call.id,
    }
    return WIDGET.build(data)


def _format_value(value: object) -> str:
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"
