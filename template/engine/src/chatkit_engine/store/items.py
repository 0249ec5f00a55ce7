"""What a thread remembers for the model and never shows: tool calls, and what was blocked.

Records stand among the thread's items, in their order, and go with the turn that wrote them. The
protocol's statements leave them out.


Between the protocol's objects and the rows: JSON in UTC, and the text that search reads."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import structlog
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadItemBase,
    ThreadMetadata,
    UserMessageItem,
)
from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypeIs

CallStatus = Literal["completed", "waiting", "running", "refused", "unknown"]
log = structlog.stdlib.get_logger(__name__)


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
THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
ITEM: TypeAdapter[StoredItem] = TypeAdapter(Annotated[StoredItem, Field(discriminator="type")])
ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
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


def aware(value: datetime) -> datetime:
    """Return the time in UTC. The SDK's own times are naive and local."""
    return value.astimezone(UTC)


def encode_thread(thread: ThreadMetadata) -> str:
    """Metadata alone: the SDK may pass a `Thread` with its items."""
    fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
    fields["created_at"] = aware(thread.created_at)
    return ThreadMetadata.model_construct(**fields).model_dump_json(exclude_none=True)


def encode_item(item: StoredItem) -> str:
    dated = item.model_copy(update={"created_at": aware(item.created_at)})
    return dated.model_dump_json()


def decode_item(data: str) -> StoredItem | None:
    """Return the item, or None for one that this version of the protocol does not know."""
    try:
        return ITEM.validate_json(data)
    except ValidationError as error:
        log.warning(
            "a stored item is not understood; it is kept and left out", errors=error.error_count()
        )
        return None


def item_text(item: StoredItem) -> str:
    """Return what full-text search should find of an item, in characters that a column can hold."""
    if isinstance(item, UserMessageItem | AssistantMessageItem):
        return "\n".join(part.text for part in item.content).replace("\x00", "")
    return ""
