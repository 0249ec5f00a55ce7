"""The store's contract, called as the SDK calls it: by keyword."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    HiddenContextItem,
    Page,
    Thread,
    ThreadItem,
    ThreadMetadata,
)
from sqlalchemy import Connection

from app.context import RequestContext, User
from app.errors import BadRequest
from app.settings import Settings
from app.store.databases import open_database
from app.store.migrate import CORE, upgrade
from app.store.sql import SqlStore, save_items, save_thread
from tests.support.sql import run_sql

ADA = RequestContext(user=User(id="ada"))
EVE = RequestContext(user=User(id="eve"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(each_database: Settings) -> AsyncGenerator[SqlStore]:
    database = open_database(each_database)
    await upgrade(database, [CORE])
    yield SqlStore(database)
    await database.aclose()


def _thread(thread_id: str = "thr_1", **values: Any) -> ThreadMetadata:
    return ThreadMetadata(id=thread_id, created_at=NOW, **values)


def _item(item_id: str, body: str = "text", thread_id: str = "thr_1") -> AssistantMessageItem:
    content = [AssistantMessageContent(text=body)]
    return AssistantMessageItem(id=item_id, thread_id=thread_id, created_at=NOW, content=content)


async def _filled(store: SqlStore, count: int) -> list[str]:
    await store.save_thread(_thread(), context=ADA)
    names = [f"msg_{number}" for number in range(count)]
    for name in names:
        await store.add_thread_item("thr_1", _item(name), context=ADA)
    return names


async def _page(
    store: SqlStore, order: str, after: str | None = None, limit: int = 3
) -> Page[ThreadItem]:
    return await store.load_thread_items(
        thread_id="thr_1", after=after, limit=limit, order=order, context=ADA
    )


async def test_a_thread_comes_back_as_it_was_saved(store: SqlStore) -> None:
    thread = _thread(title="Title", metadata={"a": [1, {"b": None}]}, allowed_image_domains=["x"])

    await store.save_thread(thread=thread, context=ADA)

    assert await store.load_thread(thread_id="thr_1", context=ADA) == thread


async def test_a_thread_with_items_is_saved_without_them(store: SqlStore) -> None:
    full = Thread(id="thr_1", created_at=NOW, items=Page(data=[_item("msg_1")]))

    await store.save_thread(full, context=ADA)

    assert await store.load_thread("thr_1", context=ADA) == _thread()


async def test_saving_again_updates(store: SqlStore) -> None:
    await store.save_thread(_thread(title="old"), context=ADA)
    await store.add_thread_item("thr_1", _item("msg_1", "old"), context=ADA)

    await store.save_thread(_thread(title="new"), context=ADA)
    await store.add_thread_item("thr_1", _item("msg_1", "newer"), context=ADA)
    await store.save_item(thread_id="thr_1", item=_item("msg_1", "newest"), context=ADA)

    assert (await store.load_thread("thr_1", context=ADA)).title == "new"
    assert [item.id for item in (await _page(store, "asc")).data] == ["msg_1"]
    loaded = await store.load_item(thread_id="thr_1", item_id="msg_1", context=ADA)
    assert loaded == _item("msg_1", "newest")


async def test_items_of_one_time_keep_the_order_they_came_in(store: SqlStore) -> None:
    names = await _filled(store, 7)

    assert [item.id for item in (await _page(store, "asc", limit=10)).data] == names
    assert [item.id for item in (await _page(store, "desc", limit=10)).data] == names[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_are_whole_and_the_last_says_so(store: SqlStore, order: str) -> None:
    names = await _filled(store, 7)
    pages = [await _page(store, order)]
    while pages[-1].has_more:
        pages.append(await _page(store, order, after=pages[-1].after))

    found = [item.id for page in pages for item in page.data]
    assert found == (names if order == "asc" else names[::-1])
    assert [len(page.data) for page in pages] == [3, 3, 1]
    assert not pages[-1].after


async def test_threads_have_pages_too(store: SqlStore) -> None:
    for number in range(5):
        await store.save_thread(_thread(f"thr_{number}"), context=ADA)

    first = await store.load_threads(limit=3, after=None, order="desc", context=ADA)
    second = await store.load_threads(limit=3, after=first.after, order="desc", context=ADA)

    found = [thread.id for page in (first, second) for thread in page.data]
    assert found == ["thr_4", "thr_3", "thr_2", "thr_1", "thr_0"]
    assert not second.has_more


async def test_a_cursor_of_nothing_is_an_error(store: SqlStore) -> None:
    await _filled(store, 1)

    with pytest.raises(BadRequest, match="after"):
        await _page(store, "asc", after="msg_unknown")


async def test_nothing_of_one_user_is_there_for_another(store: SqlStore) -> None:
    await _filled(store, 2)
    attachment = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain")
    await store.save_attachment(attachment=attachment, context=ADA)

    for read in (
        store.load_thread("thr_1", context=EVE),
        store.load_item("thr_1", "msg_1", context=EVE),
        store.load_attachment(attachment_id="atc_1", context=EVE),
        store.save_thread(_thread(title="mine"), context=EVE),
        store.add_thread_item("thr_1", _item("msg_9"), context=EVE),
        store.save_item("thr_1", _item("msg_1", "mine"), context=EVE),
        store.save_feedback("thr_1", ["msg_1"], "positive", EVE),
        store.save_attachment(attachment.model_copy(update={"name": "b"}), context=EVE),
    ):
        with pytest.raises(NotFoundError):
            await read
    await store.delete_thread_item("thr_1", "msg_1", context=EVE)
    await store.delete_thread("thr_1", context=EVE)
    await store.delete_attachment("atc_1", context=EVE)
    assert (await store.load_thread_items("thr_1", None, 9, "asc", EVE)).data == []
    assert (await store.load_threads(9, None, "asc", EVE)).data == []

    assert await store.load_attachment("atc_1", context=ADA) == attachment
    assert (await store.load_thread("thr_1", context=ADA)).title is None
    assert [item.id for item in (await _page(store, "asc")).data] == ["msg_0", "msg_1"]


async def test_two_threads_may_have_items_of_one_id(store: SqlStore) -> None:
    for number in (1, 2):
        await store.save_thread(_thread(f"thr_{number}"), context=ADA)
        item = _item("msg_1", f"in {number}", f"thr_{number}")
        await store.add_thread_item(f"thr_{number}", item, context=ADA)

    first = await store.load_item("thr_1", "msg_1", context=ADA)

    assert first == _item("msg_1", "in 1")


async def test_deleting_a_thread_takes_its_items(store: SqlStore) -> None:
    await _filled(store, 2)

    await store.delete_thread(thread_id="thr_1", context=ADA)

    with pytest.raises(NotFoundError):
        await store.load_item("thr_1", "msg_1", context=ADA)
    with pytest.raises(NotFoundError):
        await store.add_thread_item("thr_1", _item("msg_9"), context=ADA)


async def test_a_naive_local_time_is_stored_in_utc(store: SqlStore) -> None:
    naive = datetime.now().replace(microsecond=0)  # noqa: DTZ005 (as the SDK makes it)
    await store.save_thread(ThreadMetadata(id="thr_1", created_at=naive), context=ADA)

    loaded = await store.load_thread("thr_1", context=ADA)

    assert loaded.created_at == naive.astimezone(UTC)
    assert loaded.created_at.tzinfo is not None


async def test_an_item_that_is_not_understood_is_left_out_and_kept(store: SqlStore) -> None:
    await _filled(store, 2)
    data = '{"type": "from_the_future", "id": "msg_0"}'
    update = "UPDATE items SET data = :data WHERE id = 'msg_0'"
    await store.database.write(run_sql, update, data=data)

    page = await _page(store, "asc")

    assert [item.id for item in page.data] == ["msg_1"]
    assert await store.database.read(run_sql, "SELECT count(*) FROM items") == [(2,)]


async def test_hidden_items_are_stored(store: SqlStore) -> None:
    await store.save_thread(_thread(), context=ADA)
    hidden = HiddenContextItem(id="hid_1", thread_id="thr_1", created_at=NOW, content={"a": 1})

    await store.add_thread_item("thr_1", hidden, context=ADA)

    assert await store.load_item("thr_1", "hid_1", context=ADA) == hidden


async def test_a_large_item_comes_back_whole(store: SqlStore) -> None:
    await store.save_thread(_thread(), context=ADA)
    large = _item("msg_1", "wörd " * 1_000_000)

    await store.add_thread_item("thr_1", large, context=ADA)

    assert await store.load_item("thr_1", "msg_1", context=ADA) == large


async def test_many_writers_at_once_lose_nothing(store: SqlStore) -> None:
    await store.save_thread(_thread(), context=ADA)
    names = [f"msg_{number}" for number in range(100)]

    await asyncio.gather(
        *(store.add_thread_item("thr_1", _item(name), context=ADA) for name in names)
    )

    page = await _page(store, "asc", limit=200)
    assert sorted(item.id for item in page.data) == sorted(names)


async def test_a_write_that_fails_leaves_nothing(store: SqlStore) -> None:
    def fail(connection: Connection) -> None:
        save_thread(connection, _thread(), ADA.user.id)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.database.write(fail)

    assert await store.database.read(run_sql, "SELECT count(*) FROM threads") == [(0,)]
    await store.save_thread(_thread(), context=ADA)


async def test_a_write_whose_caller_is_cancelled_is_whole(store: SqlStore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        save_thread(connection, _thread(), ADA.user.id)
        begun.set()
        go_on.wait(5)
        save_items(connection, "thr_1", [_item("msg_1")], ADA.user.id)

    task = asyncio.create_task(store.database.write(slow))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    await asyncio.wait({task})
    go_on.set()

    assert [item.id for item in (await _page(store, "asc")).data] == ["msg_1"]


async def test_another_process_may_write_between(each_database: Settings) -> None:
    store, other = (SqlStore(open_database(each_database)) for _ in range(2))
    await upgrade(store.database, [CORE])
    await store.save_thread(_thread(), context=ADA)

    async def write(which: SqlStore, name: str) -> None:
        for number in range(20):
            await which.add_thread_item("thr_1", _item(f"{name}_{number}"), context=ADA)

    await asyncio.gather(write(store, "ours"), write(other, "theirs"))

    assert len((await _page(store, "asc", limit=100)).data) == 40
    await store.database.aclose()
    await other.database.aclose()


def test_ids_have_128_bits(settings: Settings) -> None:
    store = SqlStore(open_database(settings))

    ids = {store.generate_item_id("message", _thread(), ADA) for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(item_id.removeprefix("msg_")) == 32 for item_id in ids)
    assert store.generate_thread_id(ADA).startswith("thr_")
