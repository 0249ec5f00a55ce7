"""The widget of a tool call that waits for the user's approval, or was decided."""

from pathlib import Path
from typing import Any

from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic_core import from_json, to_json

from chatkit_engine.i18n import _, translate
from chatkit_engine.store.items import CallStatus, ToolCall

MAX_SHOWN = 500

STATES: dict[CallStatus, str] = {
    "waiting": _("This needs your approval."),
    "running": _("Approved."),
    "completed": _("Approved and done."),
    "refused": _("Refused."),
    "unknown": _("Approved, but cut off: it is unknown whether it was done."),
}

YES, NO = _("Approve"), _("Refuse")
WIDGET = WidgetTemplate.from_file(str(Path(__file__).with_name("approval.widget")))


def widget_of(call: ToolCall) -> DynamicWidgetRoot:
    """Return the widget that shows a call and how it stands."""
    arguments: dict[str, Any] = from_json(call.arguments)
    data = {
        "title": call.name.replace("_", " ").capitalize(),
        "lines": [f"{name}: {_shown(value)}" for name, value in arguments.items()],
        "state": translate(STATES[call.status], call.language),
        "waits": call.status == "waiting",
        "yes": translate(YES, call.language),
        "no": translate(NO, call.language),
        "call": call.id,
    }
    return WIDGET.build(data)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
