"""The items of a thread, and how they are stored: as JSON, with times in UTC.

Besides the protocol's items a thread has records, for example tool calls, which the model reads and
no client ever sees. They are ordered among the items and deleted with them. Queries on behalf of
the protocol leave them out.
"""

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

log = structlog.stdlib.get_logger(__name__)

RECORD_TYPES = ("tool_call", "blocked")
HIDDEN_CONTEXT_TYPES = ("hidden_context_item", "sdk_hidden_context")
# The key in a thread's metadata that is set once the model has read text from a third party.
UNTRUSTED = "untrusted"

CallStatus = Literal["completed", "waiting", "running", "refused", "unknown"]


class ToolCall(ThreadItemBase):
    """A tool call with its output, in one record, because a model refuses one without the other.

    The model is sent this item's id as the call's id, because some servers repeat theirs.

    A call that needs the user's approval is `waiting`, then `running`, then `completed`; or it is
    `refused`; or `unknown` if the process died while it ran. The widget `widget_id` shows it, in
    `language`. `result` is a typed result as JSON. `untrusted` marks an output that may contain
    text from a third party.
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
    """Hides the turn it belongs to from the model, because a guardrail stopped the message."""

    type: Literal["blocked"] = "blocked"


Record = ToolCall | Blocked
StoredItem = ThreadItem | Record

THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
ITEM: TypeAdapter[StoredItem] = TypeAdapter(Annotated[StoredItem, Field(discriminator="type")])
ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
HIDDEN = (HiddenContextItem, SDKHiddenContextItem, ToolCall, Blocked)


def is_record(item: StoredItem) -> TypeIs[Record]:
    """Return whether the item is a record, which is not part of the protocol."""
    return isinstance(item, ToolCall | Blocked)


def is_hidden(item: object) -> bool:
    """Return whether the item must not be sent to a client."""
    return isinstance(item, HIDDEN)


def to_utc(value: datetime) -> datetime:
    """Return the time in UTC. The SDK's own times are naive, in local time."""
    return value.astimezone(UTC)


def encode_thread(thread: ThreadMetadata) -> str:
    # The SDK may pass a `Thread`, which has the items too.
    fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
    fields["created_at"] = to_utc(thread.created_at)
    return ThreadMetadata.model_construct(**fields).model_dump_json(exclude_none=True)


def encode_item(item: StoredItem) -> str:
    return item.model_copy(update={"created_at": to_utc(item.created_at)}).model_dump_json()


def decode_item(data: str) -> StoredItem | None:
    """Return the item. None if this version of the protocol does not know its type."""
    try:
        return ITEM.validate_json(data)
    except ValidationError as error:
        log.warning("a stored item cannot be decoded; it is left out", errors=error.error_count())
        return None


def item_text(item: StoredItem) -> str:
    """Return an item's text for full-text search. PostgreSQL cannot store NUL characters."""
    if isinstance(item, UserMessageItem | AssistantMessageItem):
        return "\n".join(part.text for part in item.content).replace("\x00", "")
    return ""
