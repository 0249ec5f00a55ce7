"""The ChatKit SDK's store interface, implemented on the database."""

from collections.abc import Sequence

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata

from chatkit_engine.context import RequestContext
from chatkit_engine.store.attachments import delete_attachment, load_attachment, save_attachment
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.threads import (
    delete_items,
    delete_thread,
    load_item,
    load_items,
    load_thread,
    load_threads,
    save_feedback,
    save_items,
    save_thread,
)

PREFIXES: dict[StoreItemType, str] = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "task": "tsk",
    "workflow": "wf",
    "attachment": "atc",
    "sdk_hidden_context": "shc",
}


class SqlStore(Store[RequestContext]):
    """Threads, items and attachments of the context's user.

    Another user's data raises `NotFoundError`, as if it did not exist.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def generate_thread_id(self, context: RequestContext) -> str:
        return new_id(PREFIXES["thread"])

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: RequestContext
    ) -> str:
        return new_id(PREFIXES[item_type])

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        return await self.database.read(load_thread, thread_id, context.user.id)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        await self.database.write(save_thread, thread, context.user.id)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        return await self.database.read(load_threads, after, limit, order, context.user.id)

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
    ) -> Page[ThreadItem]:
        user_id = context.user.id
        return await self.database.read(load_items, thread_id, after, limit, order, user_id)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        await self.database.write(save_items, thread_id, [item], context.user.id)

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        await self.add_thread_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        return await self.database.read(load_item, thread_id, item_id, context.user.id)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        await self.database.write(delete_thread, thread_id, context.user.id)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        await self.database.write(delete_items, thread_id, [item_id], context.user.id)

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        await self.database.write(save_attachment, attachment, context.user.id)

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        return await self.database.read(load_attachment, attachment_id, context.user.id)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        await self.database.write(delete_attachment, attachment_id, context.user.id)

    async def save_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Store the user's feedback on items, replacing earlier feedback on the same item."""
        user_id = context.user.id
        await self.database.write(save_feedback, thread_id, set(item_ids), kind, user_id)
