"""Tests the store's contract with the keyword calls of the SDK."""

import asyncio
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.store import NotFoundError, Store
from chatkit.types import Page, Thread, ThreadMetadata
from sqlalchemy import Connection
from support.sql import run_sql
from support.store import (
    ADA,
    EVE,
    NOW,
    THREAD,
    fill,
    item_ids,
    make_attachment,
    make_item,
    make_thread,
    open_store,
    read_page,
)

from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.threads import save_items, save_thread

METHODS = sorted(Store.__abstractmethods__)


@pytest.mark.parametrize("implementation", [SqlStore, TurnStore])
@pytest.mark.parametrize("method", [*METHODS, "generate_thread_id", "generate_item_id"])
def test_a_store_takes_the_arguments_that_the_sdk_gives(
    implementation: type[SqlStore], method: str
) -> None:
    def parameters(of: Any) -> list[tuple[str, Any, Any]]:
        signature = inspect.signature(getattr(of, method))
        return [(each.name, each.kind, each.default) for each in signature.parameters.values()]

    assert parameters(implementation) == parameters(Store)


async def test_every_method_may_be_called_by_keyword(store: SqlStore) -> None:
    thread, item, attachment = make_thread(), make_item("msg_1"), make_attachment()
    page: Any = {"limit": 9, "after": None, "order": "asc", "context": ADA}
    in_thread: Any = {"thread_id": THREAD, "context": ADA}

    assert await store.save_thread(thread=thread, context=ADA) is None
    assert await store.load_thread(**in_thread) == thread
    assert await store.load_threads(**page) == Page(data=[thread])
    assert await store.add_thread_item(item=item, **in_thread) is None
    assert await store.save_item(item=item, **in_thread) is None
    assert await store.load_item(item_id="msg_1", **in_thread) == item
    assert await store.load_thread_items(thread_id=THREAD, **page) == Page(data=[item])
    assert await store.save_attachment(attachment=attachment, context=ADA) is None
    assert await store.load_attachment(attachment_id="atc_1", context=ADA) == attachment
    assert await store.delete_attachment(attachment_id="atc_1", context=ADA) is None
    assert await store.delete_thread_item(item_id="msg_1", **in_thread) is None
    assert await store.delete_thread(**in_thread) is None
    assert len(METHODS) == 12


async def test_an_empty_store_has_empty_pages_and_finds_nothing(store: SqlStore) -> None:
    threads: Page[ThreadMetadata] = Page()

    assert await store.load_threads(limit=9, after=None, order="desc", context=ADA) == threads
    assert (await read_page(store)).data == []
    for load in (
        store.load_thread("thr_1", ADA),
        store.load_item("thr_1", "msg_1", ADA),
        store.load_attachment("atc_1", ADA),
        store.add_thread_item("thr_1", make_item("msg_1"), ADA),
        store.save_feedback("thr_1", ["msg_1"], "positive", ADA),
        store.save_attachment(make_attachment(thread_id="thr_1"), ADA),
    ):
        with pytest.raises(NotFoundError):
            await load


async def test_deleting_a_missing_object_is_no_error(store: SqlStore) -> None:
    await store.delete_thread("thr_1", ADA)
    await store.delete_thread_item("thr_1", "msg_1", ADA)
    await store.delete_attachment("atc_1", ADA)


async def test_a_thread_comes_back_as_it_was_saved(store: SqlStore) -> None:
    thread = make_thread(
        title="Title", metadata={"a": [1, {"b": None}]}, allowed_image_domains=["x"]
    )

    await store.save_thread(thread, context=ADA)

    assert await store.load_thread(THREAD, context=ADA) == thread


async def test_a_thread_with_items_is_saved_without_them(store: SqlStore) -> None:
    full = Thread(id=THREAD, created_at=NOW, items=Page(data=[make_item("msg_1")]))

    await store.save_thread(full, context=ADA)

    assert await store.load_thread(THREAD, context=ADA) == make_thread()
    assert await store.load_threads(9, None, "asc", ADA) == Page(data=[make_thread()])
    assert await item_ids(store) == []


async def test_saving_again_updates_and_keeps_the_place(store: SqlStore) -> None:
    names = await fill(store, 3)
    await store.save_thread(make_thread("thr_2"), context=ADA)

    await store.save_thread(make_thread(title="new"), context=ADA)
    await store.add_thread_item(THREAD, make_item("msg_0", "newer"), context=ADA)
    await store.save_item(THREAD, make_item("msg_1", "newest"), context=ADA)

    threads = await store.load_threads(9, None, "asc", ADA)
    assert [(thread.id, thread.title) for thread in threads.data] == [
        (THREAD, "new"),
        ("thr_2", None),
    ]
    assert await item_ids(store) == names
    assert await store.load_item(THREAD, "msg_0", context=ADA) == make_item("msg_0", "newer")
    assert await store.load_item(THREAD, "msg_1", context=ADA) == make_item("msg_1", "newest")


async def test_an_attachment_is_updated_too(store: SqlStore) -> None:
    await store.save_thread(make_thread(), context=ADA)
    await store.save_attachment(make_attachment(metadata={"a": None}), ADA)
    moved = make_attachment(name='b".txt', thread_id=THREAD)

    await store.save_attachment(moved, ADA)

    assert await store.load_attachment("atc_1", ADA) == moved


async def test_an_attachment_may_be_deleted_saved_and_deleted_again(store: SqlStore) -> None:
    for _ in range(2):
        await store.save_attachment(make_attachment(), ADA)
        await store.delete_attachment("atc_1", ADA)

    with pytest.raises(NotFoundError):
        await store.load_attachment("atc_1", ADA)


async def test_two_threads_may_have_items_of_one_id(store: SqlStore) -> None:
    for thread_id in ("thr_1", "thr_2"):
        await fill(store, 1, thread_id)

    await store.save_item("thr_2", make_item("msg_0", "changed", "thr_2"), context=ADA)
    await store.delete_thread_item("thr_2", "msg_0", context=ADA)

    assert await store.load_item("thr_1", "msg_0", context=ADA) == make_item("msg_0")


async def test_deleting_a_thread_takes_what_is_in_it(store: SqlStore) -> None:
    await fill(store, 2)
    await store.save_attachment(make_attachment(thread_id=THREAD), ADA)
    await store.save_attachment(make_attachment("atc_2"), ADA)
    await store.save_feedback(THREAD, ["msg_0"], "positive", ADA)

    await store.delete_thread(THREAD, context=ADA)

    for gone in (
        store.load_thread(THREAD, ADA),
        store.load_item(THREAD, "msg_1", ADA),
        store.load_attachment("atc_1", ADA),
        store.add_thread_item(THREAD, make_item("msg_9"), ADA),
    ):
        with pytest.raises(NotFoundError):
            await gone
    assert await item_ids(store) == []
    assert await store.database.read(run_sql, "SELECT * FROM feedback") == []
    assert await store.load_attachment("atc_2", ADA) == make_attachment("atc_2")


async def test_a_thread_of_the_id_of_a_deleted_one_starts_empty(store: SqlStore) -> None:
    await fill(store, 2)
    await store.delete_thread(THREAD, context=ADA)

    await store.save_thread(make_thread(), context=ADA)

    assert await item_ids(store) == []


async def test_a_naive_local_time_is_stored_in_utc(store: SqlStore) -> None:
    naive = datetime.now().replace(microsecond=0)  # noqa: DTZ005 (as the SDK makes it)
    await store.save_thread(ThreadMetadata(id=THREAD, created_at=naive), context=ADA)
    item = make_item("msg_1").model_copy(update={"created_at": naive})
    await store.add_thread_item(THREAD, item, context=ADA)

    loaded = [await store.load_thread(THREAD, ADA), await store.load_item(THREAD, "msg_1", ADA)]

    assert [each.created_at for each in loaded] == [naive.astimezone(UTC)] * 2
    assert all(each.created_at.tzinfo for each in loaded)


async def _feedback(store: SqlStore) -> list[tuple[str, str]]:
    rows = await store.database.read(run_sql, "SELECT item_id, kind FROM feedback ORDER BY item_id")
    return [(item_id, kind) for item_id, kind in rows]


async def test_the_newest_judgement_of_an_item_counts(store: SqlStore) -> None:
    await fill(store, 3)

    await store.save_feedback(THREAD, ["msg_0", "msg_1", "msg_0"], "positive", ADA)
    await store.save_feedback(THREAD, ["msg_1", "msg_2"], "negative", ADA)

    judged = [("msg_0", "positive"), ("msg_1", "negative"), ("msg_2", "negative")]
    assert await _feedback(store) == judged


async def test_only_items_of_the_thread_can_be_judged(store: SqlStore) -> None:
    await fill(store, 1)
    await fill(store, 2, "thr_2")

    with pytest.raises(NotFoundError):
        await store.save_feedback(THREAD, ["msg_0", "msg_1"], "positive", ADA)

    assert await _feedback(store) == []


async def test_many_writers_at_once_lose_nothing(store: SqlStore) -> None:
    await store.save_thread(make_thread(), context=ADA)
    names = [f"msg_{number}" for number in range(100)]

    await asyncio.gather(
        *(store.add_thread_item(THREAD, make_item(name), context=ADA) for name in names)
    )

    assert sorted(await item_ids(store, limit=200)) == sorted(names)


async def test_a_write_that_fails_leaves_nothing(store: SqlStore) -> None:
    def fail(connection: Connection) -> None:
        save_thread(connection, make_thread(), ADA.user.id)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.database.write(fail)

    assert await store.database.read(run_sql, "SELECT count(*) FROM threads") == [(0,)]
    await store.save_thread(make_thread(), context=ADA)


async def test_a_cancelled_write_is_complete_or_absent(store: SqlStore) -> None:
    await store.save_thread(make_thread(), context=ADA)

    async def cancel_after(turns_of_the_loop: int, names: list[str]) -> None:
        pair = [make_item(name) for name in names]
        write = store.database.write(save_items, THREAD, pair, ADA.user.id)
        task = asyncio.create_task(write)
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    for number in (*range(40), 1_000, 10_000):
        await cancel_after(number, [f"msg_{number}", f"msg_{number}_too"])

    ids = await item_ids(store)
    assert ids
    assert len(ids) == 2 * len({item_id.removesuffix("_too") for item_id in ids})


async def test_another_process_may_write_between(each_database: Settings) -> None:
    async def write(which: SqlStore, name: str) -> None:
        for number in range(20):
            await which.add_thread_item(THREAD, make_item(f"{name}_{number}"), context=ADA)

    async with open_store(each_database) as store, open_store(each_database) as other:
        await store.save_thread(make_thread(), context=ADA)

        await asyncio.gather(write(store, "ours"), write(other, "theirs"))

        assert len(await item_ids(store)) == 40


def test_ids_have_128_bits(settings: Settings) -> None:
    store = SqlStore(open_database(settings))

    ids = {store.generate_item_id("message", make_thread(), ADA) for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(item_id.removeprefix("msg_")) == 32 for item_id in ids)
    assert store.generate_thread_id(ADA).startswith("thr_")


async def test_feedback_goes_with_its_item(store: SqlStore) -> None:
    await fill(store, 2)
    await store.save_feedback(THREAD, ["msg_0", "msg_1"], "positive", ADA)

    await store.delete_thread_item(THREAD, "msg_0", context=EVE)
    await store.delete_thread_item(THREAD, "msg_0", context=ADA)

    assert await _feedback(store) == [("msg_1", "positive")]
