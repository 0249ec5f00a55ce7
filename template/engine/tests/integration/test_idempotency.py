"""A request repeated with its `Idempotency-Key` does not run again."""

import asyncio

import httpx2
import pytest
from support.app import Running, running_app
from support.sql import run_sql

from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import (
    Json,
    add,
    answer,
    create,
    events,
    named_events,
    op,
    thread_id,
)

KEY = {"Idempotency-Key": "key-1"}
SLOW = ChatModel("slow", DemoModel(word_seconds=0.05))


@pytest.fixture
def settings(each_database: Settings) -> Settings:
    return each_database


async def _send(app: Running, body: object, key: str = "key-1") -> httpx2.Response:
    return await app.http.post("/chatkit", json=body, headers={"Idempotency-Key": key})


async def _say(app: Running, key: str = "key-1", **body: object) -> httpx2.Response:
    return await app.http.post("/api/chat", json=body, headers={"Idempotency-Key": key})


async def _items(app: Running, thread: str) -> list[Json]:
    listed = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=100))
    return listed.json()["data"]


async def _texts(app: Running, thread: str) -> list[str]:
    return [item["content"][0]["text"].strip() for item in await _items(app, thread)]


async def test_a_finished_turn_is_repeated_without_running_again(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    first = await _send(app_with_model, create("Hello"))
    again = await _send(app_with_model, create("Hello"))

    told, repeated = events(first.text), events(again.text)
    thread = thread_id(told)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert thread_id(repeated) == thread
    done = [event["item"] for event in repeated if event["type"] == "thread.item.done"]
    assert done == await _items(app_with_model, thread)
    assert len(model_api.requests) == 1
    assert len((await app_with_model.http.get("/api/threads")).json()["data"]) == 1


async def test_the_plain_chat_repeats_too_as_json_and_as_a_stream(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    first = await _say(app_with_model, message="Hello")
    again = await _say(app_with_model, message="Hello")
    streamed = await _say(app_with_model, message="Hello", stream=True)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    names = [name for name, _ in named_events(streamed.text)]
    assert names == ["thread", "message", "done"]
    assert named_events(streamed.text)[1][1]["text"] == first.json()["message"]
    assert len(model_api.requests) == 1


async def test_only_the_turn_of_the_key_is_repeated(app_with_model: Running) -> None:
    thread = thread_id(events((await _send(app_with_model, create("one"), "key-1")).text))
    await _send(app_with_model, add(thread, "two"), "key-2")
    await _send(app_with_model, add(thread, "three"), "key-3")

    again = events((await _send(app_with_model, add(thread, "two"), "key-2")).text)

    done = [event["item"] for event in again if event["type"] == "thread.item.done"]
    texts = [item["content"][0]["text"].strip() for item in done]
    assert texts == ["two", "echo: two"]
    assert [event["type"] for event in again] == ["thread.item.done"] * 2


async def test_the_key_of_another_request_is_refused(app_with_model: Running) -> None:
    await _send(app_with_model, create("Hello"))

    for other in (create("Goodbye"), create("Hello", {"timezone": "Europe/Berlin"})):
        refused = await _send(app_with_model, other)
        assert refused.status_code == 422
        assert refused.json()["code"] == "idempotency_key_reused"


async def test_a_request_that_is_being_answered_is_told_to_wait(settings: Settings) -> None:
    async with running_app(settings, SLOW) as app:
        running = asyncio.create_task(_say(app, message="Hello"))
        await asyncio.sleep(0.3)

        for response in (await _say(app, message="Hello"), await _say(app, message="Hello")):
            assert response.status_code == 409
            assert response.json()["code"] == "request_running"
            assert response.headers["retry-after"]
        assert (await running).status_code == 200
        assert len((await app.http.get("/api/threads")).json()["data"]) == 1


async def test_many_at_once_with_one_key_become_one_turn(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    responses = await asyncio.gather(*(_say(app_with_model, message="Hello") for _ in range(20)))

    assert {response.status_code for response in responses} <= {200, 409}
    assert len({r.json()["thread_id"] for r in responses if r.status_code == 200}) == 1
    assert len(model_api.requests) == 1


async def test_an_interrupted_answer_is_generated_again_for_the_same_message(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three", cut_after_words=2), Reply("all of it"))
    broken = events((await _send(app_with_model, create("Count"))).text)
    thread = thread_id(broken)
    assert broken[-1]["type"] == "error"

    again = events((await _send(app_with_model, create("Count"))).text)

    assert thread_id(again) == thread
    assert answer(again).strip() == "all of it"
    assert await _texts(app_with_model, thread) == ["Count", "all of it"]
    assert model_api.texts() == ["Count"]
    repeated = await _send(app_with_model, create("Count"))
    assert repeated.headers["idempotent-replayed"] == "true"
    assert len(model_api.requests) == 2


async def test_the_repetition_of_a_second_answer_has_the_message_too(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two", cut_after_words=1), Reply("all of it"))
    await _send(app_with_model, create("Count"))
    thread = thread_id(events((await _send(app_with_model, create("Count"))).text))

    repeated = events((await _send(app_with_model, create("Count"))).text)

    done = [event["item"] for event in repeated if event["type"] == "thread.item.done"]
    assert done == await _items(app_with_model, thread)
    assert len(done) == 2


async def test_an_interrupted_retry_keeps_later_messages(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = thread_id(events((await _send(app_with_model, create("Count"), "key-0")).text))
    question = (await _items(app_with_model, thread))[0]["id"]
    retry = op("threads.retry_after_item", thread_id=thread, item_id=question)
    model_api.script(Reply("one two", cut_after_words=1))
    await _send(app_with_model, retry, "key-1")
    await _send(app_with_model, add(thread, "Next"), "key-2")

    await _send(app_with_model, retry, "key-1")

    texts = await _texts(app_with_model, thread)
    assert texts == ["Count", "Next", "echo: Next", "echo: Count"]


async def test_an_interrupted_answer_is_generated_again_in_a_thread_that_continued(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two", cut_after_words=1))
    thread = thread_id(events((await _send(app_with_model, create("Count"))).text))
    await _send(app_with_model, add(thread, "Next"), "key-2")

    await _send(app_with_model, create("Count"))

    texts = await _texts(app_with_model, thread)
    assert texts == ["Count", "Next", "echo: Next", "echo: Count"]


async def test_a_refused_request_keeps_no_key(app_with_model: Running) -> None:
    refused = await _say(app_with_model, message="Hello", thread_id="thr_unknown")
    accepted = await _say(app_with_model, message="Hello")

    assert refused.status_code == 404
    assert accepted.status_code == 200


async def test_a_key_is_each_users_own_and_lasts_a_day(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _say(app_with_model, message="Hello")
    database = app_with_model.services.database
    await database.write(run_sql, "UPDATE turns SET user_id = 'eve'")
    assert (await _say(app_with_model, message="Other")).status_code == 200
    await database.write(run_sql, "UPDATE turns SET created_at = created_at - 90000")

    later = await _say(app_with_model, message="Something else")

    assert later.status_code == 200
    assert len(model_api.requests) == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "\x7f", "schlüssel"])
async def test_an_invalid_key_is_refused_with_a_message(app: Running, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    response = await app.http.post("/api/chat", json={"message": "Hello"}, headers=headers)

    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["errors"][0]["field"]


async def test_operations_without_a_turn_ignore_the_key(app: Running) -> None:
    listed = [await _send(app, op("threads.list", limit=5)) for _ in range(2)]

    assert [response.status_code for response in listed] == [200, 200]
