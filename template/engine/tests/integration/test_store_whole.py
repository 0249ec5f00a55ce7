"""Writes that belong together are atomic: if the second fails, the first is undone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import Attachment, InferenceOptions, UserMessageItem
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError
from support.sql import REFUSED, allow, pause, refuse, run_sql
from support.store import (
    ADA,
    NOW,
    THREAD,
    fill,
    item_ids,
    make_attachment,
    make_item,
    make_thread,
    open_store,
)

from chatkit_engine.errors import Conflict
from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.idempotency import EarlierTurn, find
from chatkit_engine.store.leases import Lease, LeaseLost, RequestKey
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.tables import metadata

NOBODY = ProcessLock(None)
KEY = RequestKey("key", "fingerprint")
Write = Callable[[], Awaitable[Any]]
Prepare = Callable[[SqlStore], Awaitable[Write]]


def _message(*names: str) -> UserMessageItem:
    attachments: list[Attachment] = [make_attachment(name) for name in names]
    return UserMessageItem(
        id="msg_new",
        thread_id=THREAD,
        created_at=NOW,
        content=[],
        attachments=attachments,
        inference_options=InferenceOptions(),
    )


async def _turn(store: SqlStore, opening: Opening | None = None) -> TurnStore:
    turn = TurnStore(store.database, Lease(THREAD, ADA.user.id, KEY))
    await turn.begin(NOBODY, opening or Opening())
    return turn


async def _leave_a_dead_turn(store: SqlStore) -> EarlierTurn:
    await _turn(store)
    await store.database.write(run_sql, "UPDATE turns SET lease_expires_at = 1")
    earlier = await store.database.read(find, ADA.user.id, KEY.value, NOBODY)
    assert earlier
    return earlier


async def _open_a_thread(store: SqlStore) -> Write:
    turn = TurnStore(store.database, Lease("thr_new", ADA.user.id))
    return lambda: turn.begin(NOBODY, Opening(_message(), opens_thread=True))


async def _begin_with_a_message(store: SqlStore) -> Write:
    return lambda: _turn(store, Opening(_message()))


async def _begin_with_attachments(store: SqlStore) -> Write:
    return lambda: _turn(store, Opening(_message("atc_1", "atc_2")))


async def _begin_after_a_dead_turn(store: SqlStore) -> Write:
    await _leave_a_dead_turn(store)
    turn = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    return lambda: turn.begin(NOBODY, Opening(_message()))


async def _begin_again(store: SqlStore) -> Write:
    again = await _leave_a_dead_turn(store)
    return lambda: _turn(store, Opening(_message(), earlier=again))


async def _checkpoint(store: SqlStore) -> Write:
    turn = await _turn(store)
    await turn.add_thread_item(THREAD, make_item("msg_staged"), ADA)
    return lambda: turn.checkpoint([make_item("msg_new")])


async def _checkpoint_in_place_of_the_old_answer(store: SqlStore) -> Write:
    turn = await _turn(store)
    await turn.delete_thread_item(THREAD, "msg_1", ADA)
    return lambda: turn.checkpoint([make_item("msg_new")])


async def _close(store: SqlStore) -> Write:
    turn = await _turn(store)
    await turn.add_thread_item(THREAD, make_item("msg_staged"), ADA)
    return lambda: turn.close("completed", [make_item("msg_new")], None)


async def _close_in_place_of_the_old_answer(store: SqlStore) -> Write:
    turn = await _turn(store)
    await turn.delete_thread_item(THREAD, "msg_1", ADA)
    return lambda: turn.close("interrupted", [make_item("msg_new")], None)


async def _rename(store: SqlStore) -> Write:
    return lambda: store.database.write(
        threads.update_thread, THREAD, {"title": "new"}, ADA.user.id
    )


async def _merge(store: SqlStore) -> Write:
    turn = await _turn(store)
    return lambda: turn.save_thread(make_thread(title="new"), ADA)


async def _save_items(store: SqlStore) -> Write:
    both = [make_item("msg_0", "changed"), make_item("msg_new")]
    return lambda: store.database.write(threads.save_items, THREAD, both, ADA.user.id)


async def _delete_items(store: SqlStore) -> Write:
    both = ["msg_0", "msg_1"]
    return lambda: store.database.write(threads.delete_items, THREAD, both, ADA.user.id)


async def _delete_thread(store: SqlStore) -> Write:
    return lambda: store.delete_thread(THREAD, ADA)


async def _delete_thread_with_attachments(store: SqlStore) -> Write:
    await store.save_attachment(make_attachment(thread_id=THREAD), ADA)
    return lambda: store.delete_thread(THREAD, ADA)


async def _delete_attachment(store: SqlStore) -> Write:
    return lambda: store.delete_attachment("atc_1", ADA)


async def _judge(store: SqlStore) -> Write:
    return lambda: store.save_feedback(THREAD, ["msg_0", "msg_1"], "positive", ADA)


NEW_ITEM = ("INSERT", "items", "new.id = 'msg_new'")
NEW_TURN = ("INSERT", "turns", "1 = 1")
ANY_ITEM = ("INSERT", "items", "1 = 1")


@pytest.mark.parametrize(
    ("prepare", "refused"),
    [
        (_open_a_thread, NEW_ITEM),
        (_open_a_thread, NEW_TURN),
        (_begin_with_a_message, NEW_ITEM),
        (_begin_with_attachments, NEW_ITEM),
        (_begin_with_attachments, ("UPDATE", "attachments", "new.id = 'atc_2'")),
        (_begin_after_a_dead_turn, ANY_ITEM),
        (_begin_after_a_dead_turn, NEW_ITEM),
        (_begin_after_a_dead_turn, NEW_TURN),
        (_begin_again, NEW_TURN),
        (_begin_again, NEW_ITEM),
        (_checkpoint, NEW_ITEM),
        (_checkpoint_in_place_of_the_old_answer, NEW_ITEM),
        (_close, NEW_ITEM),
        (_close_in_place_of_the_old_answer, NEW_ITEM),
        (_rename, ("UPDATE", "threads", "1 = 1")),
        (_merge, ("UPDATE", "threads", "1 = 1")),
        (_save_items, NEW_ITEM),
        (_delete_items, ("DELETE", "items", "old.id = 'msg_1'")),
        (_delete_thread, ("DELETE", "items", "old.id = 'msg_1'")),
        (_delete_thread, ("DELETE", "threads", "1 = 1")),
        (_delete_thread_with_attachments, ("INSERT", "tombstones", "1 = 1")),
        (_delete_attachment, ("DELETE", "attachments", "1 = 1")),
        (_judge, ("INSERT", "feedback", "new.item_id = 'msg_1'")),
    ],
)
async def test_a_write_is_atomic(
    store: SqlStore, prepare: Prepare, refused: tuple[str, str, str]
) -> None:
    await fill(store, 2)
    for name in ("atc_1", "atc_2"):
        await store.save_attachment(make_attachment(name), ADA)
    write = await prepare(store)
    before = await store.database.read(_everything)
    await store.database.write(refuse, *refused)

    with pytest.raises(DBAPIError, match=REFUSED):
        await write()

    assert await store.database.read(_everything) == before
    await store.database.write(allow, refused[1])
    await write()
    assert await store.database.read(_everything) != before


def _everything(connection: Connection) -> dict[str, list[Any]]:
    """Return all that is stored."""
    return {
        table.name: [tuple(row) for row in connection.execute(select(table).order_by("seq"))]
        for table in metadata.sorted_tables
    }


async def _filled_tables(store: SqlStore) -> set[str]:
    stored = await store.database.read(_everything)
    return {name for name, rows in stored.items() if rows}


async def test_an_attachment_of_another_thread_leaves_the_others_free(store: SqlStore) -> None:
    await fill(store, 1)
    await store.save_thread(make_thread("thr_2"), ADA)
    await store.save_attachment(make_attachment("atc_1"), ADA)
    await store.save_attachment(make_attachment("atc_2", thread_id="thr_2"), ADA)

    with pytest.raises(Conflict):
        await _turn(store, Opening(_message("atc_1", "atc_2")))

    assert (await store.load_attachment("atc_1", ADA)).thread_id is None
    assert await item_ids(store) == ["msg_0"]
    await _turn(store, Opening(_message("atc_1")))
    assert (await store.load_attachment("atc_1", ADA)).thread_id == THREAD


async def test_a_thread_that_goes_takes_its_turn_with_it(store: SqlStore) -> None:
    await fill(store, 1)
    turn = await _turn(store)
    await turn.add_thread_item(THREAD, make_item("msg_staged"), ADA)

    await store.delete_thread(THREAD, ADA)

    renamed = make_thread(title="new")
    for write in (turn.checkpoint(), turn.save_thread(renamed, ADA), turn.abandon(None)):
        with pytest.raises(LeaseLost):
            await write
    assert await _filled_tables(store) == {"tombstones"}


async def test_operations_on_a_thread_that_is_being_deleted_find_nothing(
    store: SqlStore, each_database: Settings
) -> None:
    await fill(store, 1)
    await store.save_attachment(make_attachment(), ADA)

    def delete_slowly(connection: Connection) -> None:
        threads.delete_thread(connection, THREAD, ADA.user.id)
        pause(connection, 0.5)

    async with open_store(each_database) as other:
        deletion = await _begun(other, delete_slowly)
        writes = (
            store.add_thread_item(THREAD, make_item("msg_new"), ADA),
            store.save_feedback(THREAD, ["msg_0"], "positive", ADA),
            store.save_attachment(make_attachment(thread_id=THREAD), ADA),
            _turn(store, Opening(_message())),
            _turn(store, Opening(_message("atc_1"))),
        )
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        await deletion

    assert [type(outcome) for outcome in outcomes] == [NotFoundError] * len(writes)
    assert await _filled_tables(store) == {"attachments", "tombstones"}


async def _begun(store: SqlStore, work: Callable[[Connection], None]) -> asyncio.Task[None]:
    """Start a transaction, and return when its first statement has had the time to run."""
    task = asyncio.create_task(store.database.write(work))
    await asyncio.sleep(0.1)
    return task
