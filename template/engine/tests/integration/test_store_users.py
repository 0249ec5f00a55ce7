"""One user's data does not exist for another, in any method."""

import pytest
from chatkit.store import NotFoundError
from support.sql import run_sql
from support.store import (
    ADA,
    EVE,
    THREAD,
    context_of,
    fill,
    item_ids,
    make_attachment,
    make_item,
    make_thread,
)

from chatkit_engine.errors import BadRequest
from chatkit_engine.store.attachments import claim_attachments
from chatkit_engine.store.chatkit_store import SqlStore

ATTACHMENT = make_attachment(thread_id=THREAD)


@pytest.fixture
async def filled(store: SqlStore) -> SqlStore:
    """A thread of each, where an item's id is in both, and an attachment of Ada's."""
    await fill(store, 2)
    await store.save_attachment(ATTACHMENT, ADA)
    await fill(store, 1, "thr_eve", EVE)
    return store


async def _is_unharmed(store: SqlStore) -> bool:
    return (
        await store.load_thread(THREAD, context=ADA) == make_thread()
        and await item_ids(store) == ["msg_0", "msg_1"]
        and await store.load_item(THREAD, "msg_0", context=ADA) == make_item("msg_0")
        and await store.load_attachment("atc_1", context=ADA) == ATTACHMENT
    )


async def test_nothing_of_another_user_is_read(filled: SqlStore) -> None:
    for read in (
        filled.load_thread(THREAD, context=EVE),
        filled.load_item(THREAD, "msg_0", context=EVE),
        filled.load_item("thr_eve", "msg_1", context=EVE),
        filled.load_attachment("atc_1", context=EVE),
    ):
        with pytest.raises(NotFoundError):
            await read
    assert (await filled.load_thread_items(THREAD, None, 9, "asc", EVE)).data == []
    threads = await filled.load_threads(9, None, "asc", EVE)
    assert [thread.id for thread in threads.data] == ["thr_eve"]
    for after in ("msg_0", "msg_1"):
        with pytest.raises(BadRequest):
            await filled.load_thread_items(THREAD, after, 9, "asc", EVE)
    with pytest.raises(BadRequest):
        await filled.load_threads(9, THREAD, "asc", EVE)


async def test_nothing_of_another_user_is_written(filled: SqlStore) -> None:
    taken = ATTACHMENT.model_copy(update={"thread_id": "thr_eve", "name": "b"})
    own = make_attachment("atc_eve", thread_id=THREAD)
    for write in (
        filled.save_thread(make_thread(title="mine"), context=EVE),
        filled.add_thread_item(THREAD, make_item("msg_9"), context=EVE),
        filled.add_thread_item(THREAD, make_item("msg_0", "mine"), context=EVE),
        filled.save_item(THREAD, make_item("msg_0", "mine"), context=EVE),
        filled.save_feedback(THREAD, ["msg_0"], "positive", EVE),
        filled.save_feedback("thr_eve", ["msg_0", "msg_1"], "positive", EVE),
        filled.save_attachment(taken, EVE),
        filled.save_attachment(own, EVE),
    ):
        with pytest.raises(NotFoundError):
            await write
    for claimed, thread_id in ((ATTACHMENT, "thr_eve"), (own, THREAD)):
        with pytest.raises(NotFoundError):
            await filled.database.write(claim_attachments, [claimed], thread_id, EVE.user.id)

    assert await _is_unharmed(filled)
    assert await filled.database.read(run_sql, "SELECT * FROM feedback") == []


async def test_nothing_of_another_user_is_deleted(filled: SqlStore) -> None:
    await filled.delete_thread_item(THREAD, "msg_0", context=EVE)
    await filled.delete_thread(THREAD, context=EVE)
    await filled.delete_attachment("atc_1", context=EVE)

    assert await _is_unharmed(filled)
    buried = "SELECT id FROM tombstones UNION SELECT key FROM dead_blobs"
    assert await filled.database.read(run_sql, buried) == []


async def test_an_id_of_another_user_is_not_taken_over_by_saving_it(filled: SqlStore) -> None:
    with pytest.raises(NotFoundError):
        await filled.save_thread(make_thread(), context=EVE)
    with pytest.raises(NotFoundError):
        await filled.save_attachment(make_attachment(), EVE)

    assert await _is_unharmed(filled)


async def test_a_user_id_is_only_an_id(store: SqlStore) -> None:
    users = ["ada' OR '1'='1", "%", "a\\b", "a b", "ünïcödé 😀", "A", "a", ""]
    for number, user_id in enumerate(users):
        await fill(store, 1, f"thr_{number}", context_of(user_id))

    for number, user_id in enumerate(users):
        threads = await store.load_threads(99, None, "asc", context_of(user_id))
        assert [thread.id for thread in threads.data] == [f"thr_{number}"]
