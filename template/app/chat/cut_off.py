"""What is left in a thread by a turn that was cut off: for the model to know, and for the user."""

from datetime import UTC, datetime

from chatkit.store import NotFoundError
from chatkit.types import ClientToolCallItem, SDKHiddenContextItem, WidgetItem
from sqlalchemy import Connection

from app.chat.approval_widget import widget_of
from app.store import sql
from app.store.ids import new_id
from app.store.records import ToolCall

NEWEST = 50
INTERRUPTED = "The assistant's previous answer was cut off before it was complete."


def mark_cut_off(connection: Connection, thread_id: str, user_id: str) -> None:
    """Tell the next turn's model, and nobody else, that the answer before is not whole.

    A call of a client's tool that waits for its output stays the newest item: by that the output
    finds it.
    """
    report_unknown(connection, thread_id, user_id)
    newest = sql.load_items(connection, thread_id, None, 1, "desc", user_id).data
    if any(isinstance(item, ClientToolCallItem) and item.status == "pending" for item in newest):
        return
    marker = SDKHiddenContextItem(
        id=new_id("shc"),
        thread_id=thread_id,
        created_at=datetime.now(UTC),
        content=INTERRUPTED,
    )
    sql.save_items(connection, thread_id, [marker], user_id)


def report_unknown(connection: Connection, thread_id: str, user_id: str) -> None:
    """Give up the approved calls that were being run: whether they were done is unknown."""
    newest = sql.load_past(connection, thread_id, None, NEWEST, user_id).items
    for call in newest:
        if isinstance(call, ToolCall) and call.status == "running":
            unknown = call.model_copy(update={"status": "unknown"})
            sql.save_items(connection, thread_id, [unknown], user_id)
            _show(connection, unknown, user_id)


def _show(connection: Connection, call: ToolCall, user_id: str) -> None:
    try:
        shown = sql.load_item(connection, call.thread_id, call.widget_id or "", user_id)
    except NotFoundError:
        return
    if isinstance(shown, WidgetItem):
        changed = shown.model_copy(update={"widget": widget_of(call)})
        sql.save_items(connection, call.thread_id, [changed], user_id)
