"""Data that store tests save, and helpers that read it back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from chatkit.store import Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    Page,
    ThreadItem,
    ThreadMetadata,
)

from chatkit_engine.context import RequestContext, User
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import CORE, upgrade

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THREAD = "thr_1"


def context_of(user_id: str) -> RequestContext:
    return RequestContext(user=User(id=user_id))


ADA = context_of("ada")
EVE = context_of("eve")


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncGenerator[SqlStore]:
    """A store on a database that is up to date."""
    database = open_database(settings)
    await upgrade(database, [CORE])
    try:
        yield SqlStore(database)
    finally:
        await database.aclose()


def make_thread(thread_id: str = THREAD, **values: Any) -> ThreadMetadata:
    return ThreadMetadata(id=thread_id, created_at=NOW, **values)


def make_item(item_id: str, body: str = "text", thread_id: str = THREAD) -> AssistantMessageItem:
    content = [AssistantMessageContent(text=body)]
    return AssistantMessageItem(id=item_id, thread_id=thread_id, created_at=NOW, content=content)


def make_attachment(attachment_id: str = "atc_1", **values: Any) -> FileAttachment:
    fields: dict[str, Any] = {"name": "a.txt", "mime_type": "text/plain"} | values
    return FileAttachment(id=attachment_id, **fields)


async def fill(
    store: Store[RequestContext], count: int, thread_id: str = THREAD, user: RequestContext = ADA
) -> list[str]:
    """Save a thread with `count` items, and return their ids, oldest first."""
    await store.save_thread(make_thread(thread_id), context=user)
    names = [f"msg_{number}" for number in range(count)]
    for name in names:
        await store.add_thread_item(thread_id, make_item(name, thread_id=thread_id), context=user)
    return names


async def read_page(
    store: Store[RequestContext],
    order: str = "asc",
    after: str | None = None,
    limit: int = 100,
    thread_id: str = THREAD,
) -> Page[ThreadItem]:
    return await store.load_thread_items(
        thread_id=thread_id, after=after, limit=limit, order=order, context=ADA
    )


async def item_ids(store: Store[RequestContext], order: str = "asc", **page: Any) -> list[str]:
    return [item.id for item in (await read_page(store, order, **page)).data]
