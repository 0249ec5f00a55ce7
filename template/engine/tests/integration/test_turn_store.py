"""Tests the store of one turn: it sees its own changes, and keeps changes of others."""

from typing import Literal

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ClientToolCallItem
from support.items import every_item
from support.sql import run_sql
from support.store import (
    ADA,
    NOW,
    THREAD,
    fill,
    item_ids,
    make_item,
    make_thread,
    read_page,
)

from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.store import leases
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.idempotency import EarlierTurn
from chatkit_engine.store.leases import Lease, LeaseLost
from chatkit_engine.store.process_lock import ProcessLock


@pytest.fixture
async def turn(store: SqlStore) -> TurnStore:
    """A turn on a thread of three items and some metadata."""
    await fill(store, 3)
    await store.save_thread(make_thread(metadata={"a": 1, "b": 1, "c": 1}), ADA)
    turn = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    await turn.begin(ProcessLock(None), Opening())
    return turn


async def test_staged_items_are_visible_to_the_turn_and_stored_at_its_end(
    store: SqlStore, turn: TurnStore
) -> None:
    await turn.add_thread_item(THREAD, make_item("msg_3"), ADA)
    await turn.save_item(THREAD, make_item("msg_1", "new"), ADA)
    await turn.delete_thread_item(THREAD, "msg_0", ADA)

    expected = ["msg_1", "msg_2", "msg_3"]
    assert await item_ids(turn, "desc") == expected[::-1]
    assert await turn.load_item(THREAD, "msg_1", ADA) == make_item("msg_1", "new")
    with pytest.raises(NotFoundError):
        await turn.load_item(THREAD, "msg_0", ADA)
    assert await item_ids(store) == ["msg_0", "msg_1", "msg_2"]

    await turn.close("completed", [], None)

    assert await item_ids(store) == expected
    assert await store.load_item(THREAD, "msg_1", ADA) == make_item("msg_1", "new")


async def test_an_item_that_is_removed_and_comes_back_stays(
    store: SqlStore, turn: TurnStore
) -> None:
    await turn.delete_thread_item(THREAD, "msg_1", ADA)
    await turn.add_thread_item(THREAD, make_item("msg_1", "new"), ADA)
    await turn.checkpoint()
    await turn.close("completed", [make_item("msg_3")], None)

    assert await item_ids(store) == ["msg_0", "msg_1", "msg_2", "msg_3"]
    assert await store.load_item(THREAD, "msg_1", ADA) == make_item("msg_1", "new")


async def test_every_kind_of_item_can_be_staged(store: SqlStore, turn: TurnStore) -> None:
    items = every_item(THREAD)

    for item in items:
        await turn.add_thread_item(THREAD, item, ADA)
    await turn.close("completed", [], None)

    assert (await read_page(store)).data[3:] == items


async def test_the_metadata_that_a_turn_changes_is_merged_with_what_others_change(
    store: SqlStore, turn: TurnStore
) -> None:
    ours = await turn.load_thread(THREAD, ADA)
    theirs = await store.load_thread(THREAD, ADA)
    del ours.metadata["a"]
    ours.metadata |= {"b": "ours", "d": "ours"}
    theirs.metadata |= {"b": "theirs", "e": "theirs"}
    del theirs.metadata["c"]
    theirs.title = "Theirs"

    await store.save_thread(theirs, ADA)
    await turn.save_thread(ours, ADA)

    merged = await store.load_thread(THREAD, ADA)
    assert merged.metadata == {"b": "theirs", "d": "ours", "e": "theirs"}
    assert merged.title == "Theirs"
    assert ours == merged
    assert await turn.load_thread(THREAD, ADA) == merged


def _call(status: Literal["pending", "completed"]) -> ClientToolCallItem:
    return ClientToolCallItem(
        id="tc_1",
        thread_id=THREAD,
        created_at=NOW,
        status=status,
        call_id="call_1",
        name="open_page",
        arguments={},
    )


async def test_a_call_that_waits_for_its_output_stays_the_newest_item(
    store: SqlStore, turn: TurnStore
) -> None:
    await turn.close("interrupted", [_call("pending")], None)

    assert (await item_ids(store))[-1] == "tc_1"


async def test_a_cut_behind_a_call_that_has_its_output_is_marked(
    store: SqlStore, turn: TurnStore
) -> None:
    await turn.close("interrupted", [_call("completed")], None)

    assert (await item_ids(store))[-2] == "tc_1"


async def test_a_turn_ended_by_another_process_saves_no_answer(
    store: SqlStore, turn: TurnStore
) -> None:
    late = "UPDATE turns SET lease_expires_at = lease_expires_at - 11"
    await store.database.write(run_sql, late)
    assert await store.database.write(leases.close_dead, THREAD, ProcessLock(None))

    with pytest.raises(LeaseLost):
        await turn.close("interrupted", [make_item("msg_9")], None)

    assert "msg_9" not in await item_ids(store)


async def test_messages_during_the_key_lookup_do_not_join_the_turn(
    store: SqlStore, turn: TurnStore
) -> None:
    """The turn of the key is known without the one that began, and ended, behind it."""
    await turn.close("interrupted", [make_item("msg_3", "half an answer")], None)
    earlier = EarlierTurn(turn.lease.turn_id, THREAD, "msg_2", "", "interrupted", 3, None)
    later = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    await later.begin(ProcessLock(None), Opening())
    await later.close("completed", [make_item("msg_4", "said since")], None)

    again = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    await again.begin(ProcessLock(None), Opening(earlier=earlier))
    await again.close("completed", [make_item("msg_5", "the whole answer")], None)

    assert await item_ids(store) == ["msg_0", "msg_1", "msg_2", "msg_4", "msg_5"]
