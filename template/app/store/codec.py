"""Between the protocol's objects and the rows: JSON in UTC, and the text that search reads."""

from datetime import UTC, datetime
from typing import Annotated

import structlog
from chatkit.types import AssistantMessageItem, Attachment, ThreadMetadata, UserMessageItem
from pydantic import Field, TypeAdapter, ValidationError

from app.store.records import StoredItem

log = structlog.stdlib.get_logger(__name__)

THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
ITEM: TypeAdapter[StoredItem] = TypeAdapter(Annotated[StoredItem, Field(discriminator="type")])
ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)


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
