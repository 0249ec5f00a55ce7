"""Tests `/api/chat`, for clients that do not use ChatKit."""

import asyncio

from chatkit.types import LockedStatus
from support.app import Running, running_app

from chatkit_engine.context import RequestContext, User
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import add, events, named_events, op


async def test_a_message_gets_an_answer_as_json(app_with_model: Running) -> None:
    first = await app_with_model.http.post("/api/chat", json={"message": "Hello"})
    thread = first.json()["thread_id"]
    second = await app_with_model.http.post(
        "/api/chat", json={"message": "Again", "thread_id": thread}
    )

    assert first.json()["message"].strip() == "echo: Hello"
    assert second.json()["thread_id"] == thread
    items = await app_with_model.http.get(f"/api/threads/{thread}/items", params={"order": "asc"})
    assert [item["type"] for item in items.json()["data"]] == [
        "user_message",
        "assistant_message",
    ] * 2
    assert items.json()["data"][-1]["id"] == second.json()["message_id"]


async def test_a_stream_names_its_events(app_with_model: Running, model_api: FakeModelApi) -> None:
    model_api.script(Reply("one two three"))

    response = await app_with_model.http.post("/api/chat", json={"message": "Hi", "stream": True})

    sent = named_events(response.text)
    names = [name for name, _ in sent]
    assert names[0] == "thread"
    assert set(names[1:-2]) == {"delta"}
    assert names[-2:] == ["message", "done"]
    text = "".join(data["text"] for name, data in sent if name == "delta")
    assert text == sent[-2][1]["text"]
    done = sent[-1][1]
    assert (done["thread_id"], done["outcome"]) == (sent[0][1]["thread_id"], "completed")


async def test_a_model_error_is_a_502_that_names_the_thread(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(status=500))

    response = await app_with_model.http.post("/api/chat", json={"message": "Hello"})

    assert response.status_code == 502
    problem = response.json()
    assert problem["code"] == "model_failed"
    assert problem["retry"] is True
    again = await app_with_model.http.post(
        "/api/chat", json={"message": "Again", "thread_id": problem["thread_id"]}
    )
    assert again.status_code == 200


async def test_a_model_error_in_a_stream_is_an_error_event(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three", cut_after_words=1))

    response = await app_with_model.http.post("/api/chat", json={"message": "Hi", "stream": True})

    sent = named_events(response.text)
    assert [name for name, _ in sent[-2:]] == ["error", "done"]
    assert sent[-1][1]["outcome"] == "failed"


async def test_a_busy_thread_refuses_a_second_turn_and_stores_nothing_of_it(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(with_model) as app:
        thread = (await app.http.post("/api/chat", json={"message": "Hi"})).json()["thread_id"]
        model_api.script(Reply("a slow answer", word_seconds=0.2))
        first = asyncio.create_task(app.chatkit(add(thread, "slow")))
        await model_api.received(2)

        plain = await app.http.post("/api/chat", json={"message": "now", "thread_id": thread})
        chatkit = await app.chatkit(add(thread, "now"))
        await first

        assert plain.status_code == 409
        assert plain.json()["code"] == "thread_busy"
        assert chatkit.status_code == 200
        assert [event["type"] for event in events(chatkit.text)] == ["error"]
        assert events(chatkit.text)[0]["allow_retry"] is True
        items = await app.chatkit(op("items.list", thread_id=thread, limit=100))
        assert "now" not in items.text
        assert len(items.json()["data"]) == 4


async def test_a_locked_thread_takes_no_more_turns(app_with_model: Running) -> None:
    thread = (await app_with_model.http.post("/api/chat", json={"message": "Hi"})).json()[
        "thread_id"
    ]
    store = app_with_model.chat_service.store
    context = RequestContext(user=User(id="local"))
    locked = await store.load_thread(thread, context)
    await store.save_thread(locked.model_copy(update={"status": LockedStatus()}), context)

    plain = await app_with_model.http.post("/api/chat", json={"message": "Hi", "thread_id": thread})
    chatkit = await app_with_model.chatkit(add(thread, "Hi"))

    assert plain.status_code == chatkit.status_code == 409
    assert "locked" in plain.json()["detail"]


async def test_threads_are_listed_renamed_and_deleted_over_rest(app: Running) -> None:
    thread = (await app.http.post("/api/chat", json={"message": "Hello"})).json()["thread_id"]

    renamed = await app.http.patch(f"/api/threads/{thread}", json={"title": "Greeting"})
    listed = await app.http.get("/api/threads")
    read = await app.http.get(f"/api/threads/{thread}")
    deleted = await app.http.delete(f"/api/threads/{thread}")

    assert renamed.json()["title"] == "Greeting"
    assert [found["id"] for found in listed.json()["data"]] == [thread]
    assert len(read.json()["items"]["data"]) == 2
    assert deleted.status_code == 204
    assert (await app.http.get(f"/api/threads/{thread}")).status_code == 404
