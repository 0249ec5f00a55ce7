"""What is left in a thread by a turn that was cut off: for the model to know, and for the user."""

from datetime import UTC, datetime

from chatkit.store import NotFoundError
from chatkit.types import ClientToolCallItem, SDKHiddenContextItem, WidgetItem
from sqlalchemy import Connection

from chatkit_engine.run.approval_widget import widget_of
from chatkit_engine.store import threads
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import ToolCall

NEWEST = 50
INTERRUPTED = "The assistant's previous answer was cut off before it was complete."


def mark_interrupted(connection: Connection, thread_id: str, user_id: str) -> None:
    """Tell the next turn's model, and nobody else, that the answer before is not whole.

    A call of a client's tool that waits for its output stays the newest item: by that the output
    finds it.
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
    """Give up the approved calls that were being run: whether they were done is unknown."""
    newest = threads.load_history_page(connection, thread_id, None, NEWEST, user_id).items
    for call in newest:
        if isinstance(call, ToolCall) and call.status == "running":
            unknown = call.model_copy(update={"status": "unknown"})
            threads.save_items(connection, thread_id, [unknown], user_id)
            _show(connection, unknown, user_id)


def _show(connection: Connection, call: ToolCall, user_id: str) -> None:
    try:
        shown = threads.load_item(connection, call.thread_id, call.widget_id or "", user_id)
    except NotFoundError:
        return
    if isinstance(shown, WidgetItem):
        changed = shown.model_copy(update={"widget": widget_of(call)})
        threads.save_items(connection, call.thread_id, [changed], user_id)
