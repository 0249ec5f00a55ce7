"""Pages are ordered, complete, and stable while rows are deleted."""

from collections.abc import Iterable

import pytest
from chatkit.types import Page, ThreadMetadata
from support.store import (
    ADA,
    EVE,
    THREAD,
    fill,
    item_ids,
    make_item,
    make_thread,
    read_page,
)

from chatkit_engine.errors import BadRequest
from chatkit_engine.store.chatkit_store import SqlStore

both_orders = pytest.mark.parametrize("order", ["asc", "desc"])


def _ordered(names: Iterable[str], order: str) -> list[str]:
    return sorted(names, reverse=order == "desc")


async def _threads(
    store: SqlStore, order: str, after: str | None = None, limit: int = 3
) -> Page[ThreadMetadata]:
    return await store.load_threads(limit=limit, after=after, order=order, context=ADA)


async def _thread_ids(store: SqlStore, order: str, after: str | None = None) -> list[str]:
    return [thread.id for thread in (await _threads(store, order, after, 100)).data]


async def _save_threads(store: SqlStore, count: int) -> list[str]:
    names = [f"thr_{number}" for number in range(count)]
    for name in names:
        await store.save_thread(make_thread(name), context=ADA)
    return names


@both_orders
@pytest.mark.parametrize("limit", [1, 3, 6, 7, 8])
async def test_pages_of_items_are_whole_and_the_last_says_so(
    store: SqlStore, order: str, limit: int
) -> None:
    names = await fill(store, 7)
    pages = [await read_page(store, order, limit=limit)]
    while pages[-1].has_more:
        pages.append(await read_page(store, order, after=pages[-1].after, limit=limit))

    assert [item.id for page in pages for item in page.data] == _ordered(names, order)
    assert all(len(page.data) == limit for page in pages[:-1])
    assert pages[-1].data
    assert not pages[-1].after


@both_orders
async def test_pages_of_threads_are_whole_and_the_last_says_so(store: SqlStore, order: str) -> None:
    names = await _save_threads(store, 7)
    pages = [await _threads(store, order)]
    while pages[-1].has_more:
        pages.append(await _threads(store, order, pages[-1].after))

    assert [thread.id for page in pages for thread in page.data] == _ordered(names, order)
    assert [len(page.data) for page in pages] == [3, 3, 1]
    assert not pages[-1].after


async def test_an_empty_cursor_is_ignored(store: SqlStore) -> None:
    names = await fill(store, 2)

    assert await item_ids(store, after="") == names
    assert await _thread_ids(store, "asc", "") == [THREAD]


@both_orders
@pytest.mark.parametrize(
    "deleted",
    [["3"], ["2"], ["4"], ["2", "3", "4"], ["3", "2", "4"], ["0", "1", "2", "3", "4", "5", "6"]],
)
async def test_a_page_goes_on_where_a_deleted_item_stood(
    store: SqlStore, order: str, deleted: list[str]
) -> None:
    names = await fill(store, 7)
    for number in deleted:
        await store.delete_thread_item(THREAD, f"msg_{number}", context=ADA)

    found = await item_ids(store, order, after="msg_3")

    rest = names[4:] if order == "asc" else names[:3]
    assert found == _ordered({*rest} - {f"msg_{number}" for number in deleted}, order)


@both_orders
@pytest.mark.parametrize("deleted", [["3"], ["2", "4"], ["2", "3", "4"]])
async def test_a_page_goes_on_where_a_deleted_thread_stood(
    store: SqlStore, order: str, deleted: list[str]
) -> None:
    names = await _save_threads(store, 7)
    for number in deleted:
        await store.delete_thread(f"thr_{number}", context=ADA)

    found = await _thread_ids(store, order, after="thr_3")

    rest = names[4:] if order == "asc" else names[:3]
    assert found == _ordered({*rest} - {f"thr_{number}" for number in deleted}, order)


async def test_an_item_that_comes_back_stands_where_it_stands_now(store: SqlStore) -> None:
    await fill(store, 3)
    for _ in range(3):
        await store.delete_thread_item(THREAD, "msg_0", context=ADA)
        await store.add_thread_item(THREAD, make_item("msg_0"), context=ADA)

    assert await item_ids(store) == ["msg_1", "msg_2", "msg_0"]
    assert await item_ids(store, after="msg_0") == []
    assert await item_ids(store, "desc", after="msg_0") == ["msg_2", "msg_1"]


@both_orders
async def test_a_cursor_of_something_else_is_refused(store: SqlStore, order: str) -> None:
    await fill(store, 1)
    await store.save_thread(make_thread("thr_2"), context=ADA)
    await store.add_thread_item("thr_2", make_item("other", thread_id="thr_2"), context=ADA)
    await store.add_thread_item("thr_2", make_item("gone", thread_id="thr_2"), context=ADA)
    await store.delete_thread_item("thr_2", "gone", context=ADA)

    for cursor in ("unknown", "other", "gone", "thr_2", "' OR 1=1 --"):
        with pytest.raises(BadRequest, match="after"):
            await read_page(store, order, after=cursor)
    for cursor in ("unknown", "msg_0", "gone"):
        with pytest.raises(BadRequest, match="after"):
            await _threads(store, order, cursor)


@both_orders
async def test_a_cursor_of_another_user_is_refused(store: SqlStore, order: str) -> None:
    await fill(store, 1)
    await fill(store, 2, "thr_eve", EVE)
    await store.save_thread(make_thread("thr_gone"), context=EVE)
    await store.delete_thread("thr_gone", context=EVE)
    await store.delete_thread_item("thr_eve", "msg_1", context=EVE)

    for cursor in ("msg_0", "msg_1"):
        with pytest.raises(BadRequest, match="after"):
            await read_page(store, order, after=cursor, thread_id="thr_eve")
    for cursor in ("thr_eve", "thr_gone"):
        with pytest.raises(BadRequest, match="after"):
            await _threads(store, order, cursor)


async def test_the_pages_of_a_deleted_thread_are_empty_or_refused(store: SqlStore) -> None:
    await fill(store, 3)
    await store.delete_thread(THREAD, context=ADA)

    assert await item_ids(store) == []
    with pytest.raises(BadRequest, match="after"):
        await read_page(store, after="msg_0")
