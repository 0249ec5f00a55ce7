"""Widgets: a `.widget` file each, and beside it the module that fills it and has its actions."""

from app.chat.actions import AnyAction, SyncAction, WidgetAction
from app.discovery import discover


def discover_actions() -> list[AnyAction]:
    """Return the actions of this folder's modules."""
    return [*discover(__name__, __path__, WidgetAction), *discover(__name__, __path__, SyncAction)]
