"""The least store that ChatKit's contract allows: dicts, no users."""

from collections import defaultdict
from typing import Any, TypeVar

from chatkit.store import NotFoundError, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

EntryT = TypeVar("EntryT", ThreadMetadata, ThreadItem)


class MemoryStore(Store[Any]):
    """Keeps what it is given, in the order in which it came."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadMetadata] = {}
        self._items: defaultdict[str, dict[str, ThreadItem]] = defaultdict(dict)
        self._attachments: dict[str, Attachment] = {}

    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        return _known(self._threads, thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
        self._threads[thread.id] = thread

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: Any
    ) -> Page[ThreadMetadata]:
        return _page(list(self._threads.values()), limit, after, order)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Page[ThreadItem]:
        return _page(list(self._items[thread_id].values()), limit, after, order)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        self._items[thread_id][item.id] = item

    async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        self._items[thread_id][item.id] = item

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> ThreadItem:
        return _known(self._items[thread_id], item_id)

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        self._threads.pop(thread_id, None)
        self._items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        self._items[thread_id].pop(item_id, None)

    async def save_attachment(self, attachment: Attachment, context: Any) -> None:
        self._attachments[attachment.id] = attachment

    async def load_attachment(self, attachment_id: str, context: Any) -> Attachment:
        return _known(self._attachments, attachment_id)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self._attachments.pop(attachment_id, None)


ValueT = TypeVar("ValueT")


def _known(entries: dict[str, ValueT], entry_id: str) -> ValueT:
    if entry_id not in entries:
        raise NotFoundError(entry_id)
    return entries[entry_id]


def _page(entries: list[EntryT], limit: int, after: str | None, order: str) -> Page[EntryT]:
    if order == "desc":
        entries.reverse()
    if after is not None:
        ids = [entry.id for entry in entries]
        entries = entries[ids.index(after) + 1 :]
    data = entries[:limit]
    has_more = len(entries) > limit
    return Page(data=data, has_more=has_more, after=data[-1].id if has_more else None)
