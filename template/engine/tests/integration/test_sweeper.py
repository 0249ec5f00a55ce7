"""Tests the sweeps that run once a minute, in one or several processes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from support.app import Running, running_app
from support.sql import run_sql

from chatkit_engine.context import RequestContext, User
from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import leases
from chatkit_engine.store.leases import CLOSE_AFTER_SECONDS, LEASE_SECONDS, Lease
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.testing.requests import create, events, thread_id
from chatkit_engine.turns.requests import user_message_request
from chatkit_engine.turns.sweeper import Sweeper

ADA = RequestContext(user=User(id="local"))
FAST = ChatModel("fast", DemoModel(word_seconds=0))
DAY = 24 * 3600


@pytest.fixture
def settings(each_database: Settings) -> Settings:
    return each_database.model_copy(update={"retention_days": 30.0})


@pytest.fixture
async def app(settings: Settings) -> AsyncGenerator[Running]:
    async with running_app(settings, FAST) as running:
        yield running


async def _sweep(app: Running, times: int = 1) -> None:
    sweeper = Sweeper(app.services.database, app.services.settings)
    await asyncio.gather(*(sweeper.sweep() for _ in range(times)))


async def _sql(app: Running, statement: str, **values: object) -> list[tuple[object, ...]]:
    return await app.services.database.write(run_sql, statement, **values)


async def _thread(app: Running, days_ago: float = 0) -> str:
    thread = thread_id(events((await app.chatkit(create("hello"))).text))
    for shift in (
        "UPDATE threads SET created_at = created_at - :seconds WHERE id = :thread",
        "UPDATE items SET created_at = created_at - :seconds WHERE thread_id = :thread",
    ):
        await _sql(app, shift, seconds=days_ago * DAY, thread=thread)
    return thread


async def _threads(app: Running) -> list[str]:
    return [thread["id"] for thread in (await app.http.get("/api/threads")).json()["data"]]


async def _dead_turn(app: Running, thread: str, seconds_past: float) -> None:
    lease = Lease(thread, ADA.user.id)
    await app.services.database.write(leases.acquire, lease, ProcessLock(None), None)
    shift = "UPDATE turns SET lease_expires_at = lease_expires_at - :seconds WHERE id = :turn"
    await _sql(app, shift, seconds=LEASE_SECONDS + seconds_past, turn=lease.turn_id)


async def _stored(app: Running, thread: str) -> list[str]:
    page = await app.chat_service.store.load_thread_items(thread, None, 50, "asc", ADA)
    return [item.type for item in page.data]


async def test_the_turns_of_dead_processes_are_closed_and_marked_once(app: Running) -> None:
    thread = await _thread(app)
    await _dead_turn(app, thread, CLOSE_AFTER_SECONDS + 1)

    await _sweep(app, times=3)

    assert (await _stored(app, thread)).count("sdk_hidden_context") == 1
    assert await _sql(app, "SELECT state FROM turns ORDER BY seq") == [
        ("completed",),
        ("interrupted",),
    ]


async def test_a_lease_that_has_just_run_out_is_left_to_its_holder(app: Running) -> None:
    thread = await _thread(app)
    await _dead_turn(app, thread, CLOSE_AFTER_SECONDS - 5)

    await _sweep(app)

    assert await _sql(app, "SELECT count(*) FROM turns WHERE state = 'running'") == [(1,)]


async def test_threads_past_their_retention_are_deleted_with_their_contents(app: Running) -> None:
    old, young = await _thread(app, days_ago=31), await _thread(app, days_ago=29)

    await _sweep(app, times=3)

    assert await _threads(app) == [young]
    assert await _sql(app, "SELECT 1 FROM items WHERE thread_id = :old", old=old) == []
    assert await _sql(app, "SELECT 1 FROM turns WHERE thread_id = :old", old=old) == []


async def test_an_old_thread_in_which_something_was_said_lately_stays(app: Running) -> None:
    old = await _thread(app, days_ago=100)
    await app.http.post("/api/chat", json={"message": "again", "thread_id": old})

    await _sweep(app)

    assert await _threads(app) == [old]


async def test_an_old_thread_with_a_running_turn_stays(app: Running) -> None:
    old = await _thread(app, days_ago=100)
    await _dead_turn(app, old, -LEASE_SECONDS)

    await _sweep(app)

    assert await _threads(app) == [old]


async def test_without_a_retention_nothing_is_deleted(each_database: Settings) -> None:
    async with running_app(each_database, FAST) as app:
        old = await _thread(app, days_ago=10_000)

        await _sweep(app)

        assert await _threads(app) == [old]


async def test_keys_are_forgotten_after_a_day(app: Running) -> None:
    for key in ("old", "young"):
        headers = {"Idempotency-Key": key}
        await app.http.post("/api/chat", json={"message": key}, headers=headers)
    age = "UPDATE turns SET created_at = created_at - :seconds WHERE idempotency_key = 'old'"
    await _sql(app, age, seconds=DAY + 60)

    await _sweep(app)

    keys = "SELECT idempotency_key FROM turns ORDER BY seq"
    assert await _sql(app, keys) == [(None,), ("young",)]


async def test_positions_of_deleted_rows_are_forgotten_after_a_day(app: Running) -> None:
    for age in (DAY + 60, 0):
        thread = await _thread(app)
        await app.http.delete(f"/api/threads/{thread}")
        older = "UPDATE tombstones SET created_at = created_at - :seconds WHERE id = :thread"
        await _sql(app, older, seconds=age, thread=thread)

    await _sweep(app)

    assert await _sql(app, "SELECT id FROM tombstones") == [(thread,)]


async def test_one_sweep_that_fails_leaves_the_others_to_run(app: Running) -> None:
    ran: list[str] = []

    async def fails() -> None:
        raise RuntimeError

    async def runs() -> None:
        ran.append("ran")

    sweeper = Sweeper(app.services.database, app.services.settings, [fails, runs])
    await sweeper.sweep()

    assert ran == ["ran"]


async def test_a_turn_is_not_hurt_by_sweeps_meanwhile(app: Running) -> None:
    service = app.chat_service
    turn = await service.start(user_message_request("hello", None), ADA)

    await _sweep(app, times=3)

    told = b"".join([chunk async for chunk in turn.chunks(60)]).decode()
    assert "error" not in [event["type"] for event in events(told)]
