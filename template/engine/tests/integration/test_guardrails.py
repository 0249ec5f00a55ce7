"""Tests what guardrails stop, with which message, and that later turns work."""

from typing import Any

import pytest
from support.app import Running, running_app
from support.tools import TOOLS

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import (
    Json,
    add,
    answer,
    create,
    events,
    op,
    text_of,
    thread_id,
)

FORBIDDEN = "my PIN is 1234"


@pytest.fixture
def guarded(with_model: Settings) -> Settings:
    rules = {"blocked_input": [r"pin is \d{4}"], "blocked_output": ["the password"]}
    return with_model.model_copy(update=rules)


async def _items(app: Running, thread: str) -> list[Json]:
    response = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=100))
    return response.json()["data"]


async def test_a_blocked_message_never_reaches_the_model(
    guarded: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(guarded) as app:
        streamed = events((await app.chatkit(create(FORBIDDEN))).text)
        question, refusal = await _items(app, thread_id(streamed))

    assert model_api.requests == []
    assert text_of(question) == FORBIDDEN
    assert "cannot help" in text_of(refusal)
    assert streamed[-1]["item"] == refusal


async def test_the_turn_after_a_blocked_message_works_and_does_not_repeat_it(
    guarded: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(guarded) as app:
        thread = thread_id(events((await app.chatkit(create("Hello"))).text))
        await app.chatkit(add(thread, FORBIDDEN))

        streamed = events((await app.chatkit(add(thread, "Go on"))).text)

    assert answer(streamed).strip() == "echo: Go on"
    assert [text.strip() for text in model_api.texts()] == ["Hello", "echo: Hello", "Go on"]


async def test_a_blocked_answer_is_taken_back_and_not_stored(
    guarded: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Well, the password is tulip"))
    async with running_app(guarded) as app:
        streamed = events((await app.chatkit(create("Tell me"))).text)
        thread = thread_id(streamed)
        items = await _items(app, thread)
        await app.chatkit(add(thread, "Go on"))
        export = (await app.http.get("/api/me/data")).text

    shown = [event["item"]["id"] for event in streamed if event["type"] == "thread.item.added"]
    removed = [event["item_id"] for event in streamed if event["type"] == "thread.item.removed"]
    assert removed == shown
    assert "cannot show" in text_of(items[-1])
    assert "tulip" not in str(items) + export + str(model_api.requests[-1])


async def test_a_blocked_answer_that_was_checkpointed_is_gone_too(
    guarded: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_engine.turns.turn.CHECKPOINT_SECONDS", 0.02)
    model_api.script(Reply("one two three four five the password tulip", word_seconds=0.05))
    async with running_app(guarded) as app:
        thread = thread_id(events((await app.chatkit(create("Tell me"))).text))

        assert [item["type"] for item in await _items(app, thread)] == [
            "user_message",
            "assistant_message",
        ]
        assert "one two" not in (await app.http.get("/api/me/data")).text


@pytest.mark.parametrize("message", [FORBIDDEN, "Tell me"])
async def test_the_plain_chat_answers_in_the_guardrails_words(
    guarded: Settings, model_api: FakeModelApi, message: str
) -> None:
    model_api.script(Reply("the password"))
    headers = {"Accept-Language": "de"}
    async with running_app(guarded) as app:
        reply: Any = await app.http.post("/api/chat", json={"message": message}, headers=headers)

    assert reply.status_code == 200
    assert "etwas anderes" in reply.json()["message"]
    assert "password" not in reply.text


async def test_guardrails_check_quoted_text_too(guarded: Settings, model_api: FakeModelApi) -> None:
    quoting = create("What is this?")
    quoting["params"]["input"]["quoted_text"] = FORBIDDEN
    async with running_app(guarded) as app:
        streamed = await app.ask(quoting)

    assert model_api.requests == []
    assert "cannot help" in text_of(streamed[-1]["item"])


async def test_an_approval_after_a_blocked_message_is_remembered(
    guarded: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("parcels", TOOLS)
    model_api.script(Reply(calls=[("send_parcel", {"parcel": {"city": "Bonn", "grams": 5}})]))
    async with running_app(guarded) as app:
        streamed = await app.ask(create("Send it"))
        thread, widget = thread_id(streamed), streamed[-1]["item"]
        await app.ask(add(thread, FORBIDDEN))
        chosen = widget["widget"]["confirm"]["action"]
        action = {"type": chosen["type"], "payload": chosen["payload"]}
        await app.ask(op("threads.custom_action", thread_id=thread, action=action))
        await app.ask(add(thread, "And now?"))

    for request in model_api.requests[1:]:
        assert "sent 5 g to Bonn" in str(request["input"])
        assert FORBIDDEN not in str(request["input"])
        assert "cannot help" not in str(request["input"])
