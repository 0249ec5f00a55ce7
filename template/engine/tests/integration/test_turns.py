"""Tests one turn: what is stored when, and what remains however it ends."""

import asyncio
from contextlib import aclosing

import pytest
from agents.testing import ScriptedModel, assistant_message
from chatkit.store import NotFoundError
from chatkit.types import LockedStatus
from sqlalchemy import Connection, event
from support.app import Running, running_app
from support.sql import run_sql

from chatkit_engine.context import RequestContext, User
from chatkit_engine.errors import ThreadBusy, Unavailable
from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.run.interruption import mark_interrupted
from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import leases, threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.leases import LEASE_SECONDS, Lease, LeaseLost
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.testing.requests import create, events, op, thread_id
from chatkit_engine.testing.waiting import eventually
from chatkit_engine.turns.requests import user_message_request
from chatkit_engine.turns.service import ChatService
from chatkit_engine.turns.turn import Buffer, Turn

ADA = RequestContext(user=User(id="local"))
FAST = ChatModel("fast", DemoModel(word_seconds=0))
SLOW = ChatModel("slow", DemoModel(word_seconds=0.03))


@pytest.fixture
def settings(each_database: Settings) -> Settings:
    return each_database


def _service(app: Running) -> ChatService:
    return app.chat_service


async def _read(turn: Turn) -> str:
    return b"".join([chunk async for chunk in turn.chunks(60)]).decode()


async def _start(app: Running, words: str, thread: str | None = None) -> Turn:
    turn = await _service(app).start(user_message_request(words, thread), ADA)
    assert isinstance(turn, Turn)
    return turn


async def _texts(app: Running, thread: str) -> list[str]:
    response = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=100))
    return [item["content"][0]["text"].strip() for item in response.json()["data"]]


async def _first_text(turn: Turn) -> str:
    """Read until the first word, and return what was read."""
    read = ""
    async for chunk in turn.chunks(60):
        read += chunk.decode()
        if "text_delta" in read:
            break
    return read


async def test_a_plain_turn_takes_two_transactions(settings: Settings) -> None:
    model = ScriptedModel([[assistant_message("one")], [assistant_message("two")]])
    async with running_app(settings, ChatModel("scripted", model)) as app:
        thread = thread_id(events((await app.chatkit(create("first"))).text))
        begun: list[str] = []
        engine = _service(app).store.database.engine

        def count(_: Connection) -> None:
            begun.append("transaction")

        event.listen(engine, "commit", count)

        await _read(await _start(app, "second", thread))

        assert len(begun) == 2
        assert await _texts(app, thread) == ["first", "one", "second", "two"]


async def test_a_turn_that_is_stopped_keeps_what_was_written(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "one two three four five six seven eight")
        thread = thread_id(events(await _first_text(turn)))

        await turn.stop()

        question, partial = await _texts(app, thread)
        assert question.startswith("one")
        assert partial
        assert "eight" not in partial
        next_turn = await _start(app, "again", thread)
        assert "You said: again" in await _read_answer(next_turn)


async def _read_answer(turn: Turn) -> str:
    streamed = events(await _read(turn))
    return "".join(e["update"].get("delta", "") for e in streamed if "update" in e)


async def test_a_turn_that_is_stopped_at_once_keeps_the_message(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "remember me")
        await turn.stop()

        thread = (await app.chatkit(op("threads.list"))).json()["data"][0]["id"]
        assert (await _texts(app, thread))[0] == "remember me"


async def test_stopping_a_turn_that_has_ended_changes_nothing(settings: Settings) -> None:
    async with running_app(settings, FAST) as app:
        turn = await _start(app, "hello")
        whole = await _read(turn)

        await asyncio.gather(turn.stop(), turn.stop())

        texts = await _texts(app, thread_id(events(whole)))
        assert texts[1].endswith("You said: hello")


async def test_a_stalled_client_does_not_block_the_turn(settings: Settings) -> None:
    """The pump waits for room; stopping lets it go and keeps what the model had written."""
    model = ChatModel("fast", DemoModel(word_seconds=0.001))
    async with running_app(settings, model) as app:
        turn = await _start(app, "word " * 20_000)
        thread = (await app.chatkit(op("threads.list"))).json()["data"][0]["id"]

        async def buffer_is_full() -> bool:
            texts = await _texts(app, thread)
            return len(texts) == 2 and texts[1].count("word") > 200

        await eventually(buffer_is_full)
        await turn.stop()

        question, partial = await _texts(app, thread)
        assert 200 < partial.count("word") < question.count("word")


async def test_draining_refuses_new_turns_and_saves_the_running(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "one two three four five six seven eight")
        thread = thread_id(events(await _first_text(turn)))

        await _service(app).turns.drain(grace_seconds=0)

        rest = events(await _read(turn))
        assert rest[-1]["type"] == "error"
        assert "restarting" in rest[-1]["message"]
        assert len(await _texts(app, thread)) == 2
        with pytest.raises(Unavailable):
            await _start(app, "too late")
        ready = await app.http.get("/health/ready")
        assert ready.status_code == 503
        assert [c["name"] for c in ready.json()["checks"] if not c["ok"]] == ["accepting"]


async def test_draining_lets_turns_end_that_need_no_longer_than_the_grace(
    settings: Settings,
) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "hello")

        await _service(app).turns.drain(grace_seconds=10)

        assert "You said: hello" in await _read_answer(turn)


async def test_a_silent_stream_carries_comments(settings: Settings) -> None:
    async with running_app(settings, ChatModel("silent", DemoModel(word_seconds=0.1))) as app:
        turn = await _start(app, "hello")
        async for chunk in turn.chunks(heartbeat_seconds=0.02):
            if chunk == b": ping\n\n":
                break

        await turn.stop()


async def test_a_second_turn_is_refused_while_one_runs(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "first")
        thread = thread_id(events(await _first_text(turn)))

        with pytest.raises(ThreadBusy):
            await _start(app, "second", thread)

        await turn.stop()
        assert "second" not in str(await _texts(app, thread))


async def _running_turn(app: Running, holder: str, expires_in: float) -> str:
    """Leave a turn behind, as a process does that was killed."""
    thread = thread_id(events((await app.chatkit(create("hello"))).text))
    database, lease = _service(app).store.database, Lease(thread, ADA.user.id)
    process_lock = ProcessLock(None)
    process_lock.holder = holder
    await database.write(leases.acquire, lease, process_lock, None)
    past = {"seconds": LEASE_SECONDS - expires_in, "turn": lease.turn_id}
    shift = "UPDATE turns SET lease_expires_at = lease_expires_at - :seconds WHERE id = :turn"
    await database.write(run_sql, shift, **past)
    return thread


async def test_an_expired_lease_is_taken_over_and_the_model_is_told(
    settings: Settings,
) -> None:
    async with running_app(settings, FAST) as app:
        thread = await _running_turn(app, "elsewhere", expires_in=-1)

        assert "You said: go on" in await _read(await _start(app, "go on", thread))

        context = await _service(app).store.load_thread_items(thread, None, 9, "asc", ADA)
        assert "sdk_hidden_context" in [item.type for item in context.data]


async def test_a_live_lease_of_another_process_is_respected(file_settings: Settings) -> None:
    other = ProcessLock(open_database(file_settings).file)
    other.acquire()
    async with running_app(file_settings, FAST) as app:
        thread = await _running_turn(app, other.holder, expires_in=5)

        with pytest.raises(ThreadBusy):
            await _start(app, "go on", thread)

        other.release()
        assert "You said: go on" in await _read(await _start(app, "go on", thread))


@pytest.mark.slow
async def test_a_turn_that_begins_while_another_ends_stands_after_its_answer(
    postgres_url: str,
) -> None:
    """What a turn wrote is what stands after it: an answer of the turn before must not."""
    async with running_app(Settings(database_url=postgres_url), FAST) as app:
        thread = await _running_turn(app, "here", expires_in=5)
        database = _service(app).store.database
        ((ending,),) = await database.read(run_sql, "SELECT id FROM turns WHERE state = 'running'")

        def end_slowly(connection: Connection) -> None:
            lease = Lease(thread, ADA.user.id, turn_id=ending)
            leases.close(connection, lease, "completed", None)
            mark_interrupted(connection, thread, ADA.user.id)
            run_sql(connection, "SELECT pg_sleep(0.5)")

        end = asyncio.create_task(database.write(end_slowly))
        await asyncio.sleep(0.2)
        await _read(await _start(app, "go on", thread))
        await end

        newest = "SELECT after_seq FROM turns ORDER BY seq DESC LIMIT 1"
        ((after,),) = await database.read(run_sql, newest)
        ((answer,),) = await database.read(
            run_sql, "SELECT seq FROM items WHERE type = 'sdk_hidden_context'"
        )
        assert after == answer


async def test_a_turn_does_not_restore_its_deleted_thread(
    settings: Settings,
) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "one two three four five")
        thread = thread_id(events(await _first_text(turn)))

        await app.chatkit(op("threads.delete", thread_id=thread))
        await _read(turn)

        assert (await app.chatkit(op("threads.list"))).json()["data"] == []
        with pytest.raises(NotFoundError):
            await _start(app, "again", thread)


async def test_a_rename_during_a_turn_is_kept(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, "one two three")
        thread = thread_id(events(await _first_text(turn)))

        await app.chatkit(op("threads.update", thread_id=thread, title="Mine"))
        await turn.stop()

        read = await app.chatkit(op("threads.get_by_id", thread_id=thread))
        assert read.json()["title"] == "Mine"


async def _begun(settings: Settings) -> TurnStore:
    database = open_database(settings)
    await upgrade(database, [CORE])
    store = TurnStore(database, Lease("thr_1", ADA.user.id))
    await store.begin(ProcessLock(None), Opening(opens_thread=True))
    return store


async def test_concurrent_changes_of_a_thread_win_over_the_turns_changes(
    settings: Settings,
) -> None:
    store = await _begun(settings)
    async with aclosing(store.database) as database:
        thread = await store.load_thread("thr_1", ADA)
        theirs = {"title": "theirs", "status": LockedStatus(), "metadata": {"a": 1, "b": 1}}
        await database.write(threads.update_thread, "thr_1", theirs, ADA.user.id)

        thread.title = "ours"
        thread.metadata = {"b": 2, "c": 2}
        thread.allowed_image_domains = ["example.com"]
        await store.save_thread(thread, ADA)

        stored = await SqlStore(database).load_thread("thr_1", ADA)
        assert (stored.title, stored.status.type) == ("theirs", "locked")
        assert stored.metadata == {"a": 1, "b": 1, "c": 2}
        assert stored.allowed_image_domains == ["example.com"]
        assert thread == stored


async def test_a_turn_may_change_its_own_title_again(settings: Settings) -> None:
    store = await _begun(settings)
    async with aclosing(store.database) as database:
        thread = await store.load_thread("thr_1", ADA)
        for title in ("first", "second"):
            thread.title = title
            await store.save_thread(thread, ADA)

        assert (await SqlStore(database).load_thread("thr_1", ADA)).title == "second"


async def test_a_thread_that_was_deleted_is_not_saved_again(settings: Settings) -> None:
    store = await _begun(settings)
    async with aclosing(store.database) as database:
        thread = await store.load_thread("thr_1", ADA)
        await SqlStore(database).delete_thread("thr_1", ADA)
        thread.title = "ours"

        with pytest.raises(LeaseLost):
            await store.save_thread(thread, ADA)

        assert (await SqlStore(database).load_threads(9, None, "asc", ADA)).data == []


async def test_a_lost_commit_answer_is_not_a_lost_lease(settings: Settings) -> None:
    store = await _begun(settings)
    async with aclosing(store.database):
        await store.close("completed", [], None)

        await store.close("completed", [], None)
        with pytest.raises(LeaseLost):
            await store.close("failed", [], None)


async def test_no_process_ends_a_turn_whose_lease_was_renewed_meanwhile(
    settings: Settings,
) -> None:
    store = await _begun(settings)
    async with aclosing(store.database) as database:
        shift = "UPDATE turns SET lease_expires_at = lease_expires_at - 11"
        await database.write(run_sql, shift)
        await store.checkpoint()

        assert not await database.write(leases.close_dead, "thr_1", ProcessLock(None))


async def test_a_long_answer_is_saved_while_it_is_written(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        turn = await _start(app, " ".join(["word"] * 100))
        thread = thread_id(events(await _first_text(turn)))

        async def is_saved() -> bool:
            return len(await _texts(app, thread)) == 2

        await eventually(is_saved)
        await turn.stop()


async def test_the_turn_is_recorded_with_its_usage(settings: Settings) -> None:
    async with running_app(settings, FAST) as app:
        await _read(await _start(app, "hello"))

        database = _service(app).store.database
        rows = await database.read(run_sql, "SELECT state, usage, ended_at FROM turns")

    ((state, usage, ended_at),) = rows

    assert state == "completed"
    assert '"requests":1' in usage
    assert ended_at


async def test_the_buffer_returns_all_waiting_events_together() -> None:
    buffer = Buffer(limit=3)
    for chunk in (b"a", b"b", b"c"):
        await buffer.put(chunk)
    writer = asyncio.create_task(buffer.put(b"d"))
    await asyncio.sleep(0)
    held_up = not writer.done()

    assert await buffer.take() == b"abc"
    await writer
    buffer.end()

    assert held_up
    assert await buffer.take() == b"d"
    assert await buffer.take() == b""
