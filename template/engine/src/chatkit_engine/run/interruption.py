"""Marks a thread whose turn was interrupted, so that the model and the user know about it."""

from datetime import UTC, datetime

from chatkit.store import NotFoundError
from chatkit.types import ClientToolCallItem, SDKHiddenContextItem, WidgetItem
from sqlalchemy import Connection

from chatkit_engine.run.approval_widget import build_widget
from chatkit_engine.store import threads
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import ToolCall

# A call that was running is near the end of its thread.
RECENT_ITEMS = 50
INTERRUPTED = "The assistant's previous answer was cut off before it was complete."


def mark_interrupted(connection: Connection, thread_id: str, user_id: str) -> None:
    """Add a hidden item that tells the model that the previous answer is incomplete.

    It is left out after a pending client tool call. That call must stay the thread's newest item,
    because ChatKit adds the tool's output to the newest item.
    """
    mark_calls_unknown(connection, thread_id, user_id)
    newest = threads.load_items(connection, thread_id, None, 1, "desc", user_id).data
    if any(isinstance(item, ClientToolCallItem) and item.status == "pending" for item in newest):
        return
    marker = SDKHiddenContextItem(
        id=new_id("shc"),
        thread_id=thread_id,
        created_at=datetime.now(UTC),
        content=INTERRUPTED,
    )
    threads.save_items(connection, thread_id, [marker], user_id)


def mark_calls_unknown(connection: Connection, thread_id: str, user_id: str) -> None:
    """Mark approved calls that were running as unknown: they may or may not have been done."""
    recent = threads.load_history_page(connection, thread_id, None, RECENT_ITEMS, user_id).items
    for call in recent:
        if isinstance(call, ToolCall) and call.status == "running":
            unknown = call.model_copy(update={"status": "unknown"})
            threads.save_items(connection, thread_id, [unknown], user_id)
            _update_widget(connection, unknown, user_id)


def _update_widget(connection: Connection, call: ToolCall, user_id: str) -> None:
    try:
        item = threads.load_item(connection, call.thread_id, call.widget_id or "", user_id)
    except NotFoundError:
        return
    if isinstance(item, WidgetItem):
        changed = item.model_copy(update={"widget": build_widget(call)})
        threads.save_items(connection, call.thread_id, [changed], user_id)
