"""Calls that wait for the user's approval: over restarts, repeated, and interrupted."""

import asyncio
from typing import Any

import pytest
from support.app import Running, running_app
from support.tools import TOOLS

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, answer, create, events, op, thread_id
from chatkit_engine.testing.waiting import eventually

SEND = ("send_parcel", {"parcel": {"city": "Bonn", "grams": 5}})
SLOW = ("send_parcel", {"parcel": {"city": "Bonn", "grams": 13}})


@pytest.fixture(autouse=True)
def parcels(add_feature: AddFeature) -> Any:
    return add_feature("parcels", TOOLS)


@pytest.fixture
def on_file(with_model: Settings, file_settings: Settings) -> Settings:
    return with_model.model_copy(update={"database_url": file_settings.database_url})


class Waiting:
    """A thread with a widget that asks for approval."""

    def __init__(self, streamed: list[Json]) -> None:
        self.thread = thread_id(streamed)
        self.item: Json = streamed[-1]["item"]
        assert self.item["type"] == "widget"

    def decide(self, *, approved: bool) -> Json:
        action = self.item["widget"]["confirm" if approved else "cancel"]["action"]
        chosen = {"type": action["type"], "payload": action["payload"]}
        return op(
            "threads.custom_action", thread_id=self.thread, item_id=self.item["id"], action=chosen
        )


async def _ask(app: Running, model_api: FakeModelApi, call: Any = SEND) -> Waiting:
    model_api.script(Reply(calls=[call]))
    return Waiting(events((await app.chatkit(create("Send it"))).text))


async def _widget(app: Running, waiting: Waiting) -> str:
    listed = await app.chatkit(op("items.list", thread_id=waiting.thread, limit=100))
    return str([item for item in listed.json()["data"] if item["type"] == "widget"])


def _output(model_api: FakeModelApi) -> str:
    sent = model_api.requests[-1]["input"]
    [output] = [item["output"] for item in sent if item.get("type") == "function_call_output"]
    assert len([item for item in sent if item.get("type") == "function_call"]) == 1
    return output


async def test_nothing_is_done_before_the_user_says_yes(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)

    assert parcels.done == []
    assert "Bonn" in str(waiting.item["widget"])
    assert len(model_api.requests) == 1


async def test_an_approval_runs_the_tool_once_and_the_model_continues(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)
    model_api.script(Reply("It is on its way."))

    streamed = events((await app_with_model.chatkit(waiting.decide(approved=True))).text)

    assert parcels.done == ["local: Bonn"]
    assert _output(model_api) == "sent 5 g to Bonn"
    assert answer(streamed).strip() == "It is on its way."
    [replaced] = [event for event in streamed if event["type"] == "thread.item.replaced"]
    assert "confirm" not in replaced["item"]["widget"]
    assert "done" in await _widget(app_with_model, waiting)


async def test_a_rejection_runs_nothing_and_the_model_is_told(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)

    await app_with_model.chatkit(waiting.decide(approved=False))

    assert parcels.done == []
    assert "refused" in _output(model_api)
    assert "Refused" in await _widget(app_with_model, waiting)


@pytest.mark.parametrize("then", [True, False])
async def test_a_decision_is_taken_once(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any, then: bool
) -> None:
    waiting = await _ask(app_with_model, model_api)
    await app_with_model.chatkit(waiting.decide(approved=True))

    again = await app_with_model.chatkit(waiting.decide(approved=then))

    assert again.status_code == 409
    assert parcels.done == ["local: Bonn"]


async def test_only_one_of_many_concurrent_decisions_counts(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)

    decisions = [app_with_model.chatkit(waiting.decide(approved=True)) for _ in range(10)]
    answers = await asyncio.gather(*decisions)

    assert parcels.done == ["local: Bonn"]
    assert all(each.status_code in {200, 409} for each in answers)


async def test_a_waiting_call_is_told_to_the_model_when_the_user_goes_on(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)

    await app_with_model.chatkit(add(waiting.thread, "Wait"))
    assert "approval" in _output(model_api)
    await app_with_model.chatkit(waiting.decide(approved=True))

    assert _output(model_api) == "sent 5 g to Bonn"
    assert parcels.done == ["local: Bonn"]


async def test_a_call_waits_over_a_restart(
    on_file: Settings, model_api: FakeModelApi, parcels: Any
) -> None:
    async with running_app(on_file) as app:
        waiting = await _ask(app, model_api)

    async with running_app(on_file) as app:
        await app.chatkit(waiting.decide(approved=True))

    assert parcels.done == ["local: Bonn"]


async def test_a_call_that_was_cut_off_is_unknown_and_never_repeated(
    on_file: Settings, model_api: FakeModelApi, parcels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_engine.turns.turn.STOP_SECONDS", 0.1)
    async with running_app(on_file) as app:
        waiting = await _ask(app, model_api, SLOW)
        running = asyncio.create_task(app.chatkit(waiting.decide(approved=True)))

        async def is_running() -> bool:
            return parcels.done == ["local: Bonn"]

        await eventually(is_running)
    await running

    async with running_app(on_file) as app:
        assert (await app.chatkit(waiting.decide(approved=True))).status_code == 409
        assert "unknown" in await _widget(app, waiting)
        await app.chatkit(add(waiting.thread, "Did it work?"))

    assert "unknown" in _output(model_api)
    assert parcels.done == ["local: Bonn"]


async def test_a_decision_on_a_removed_call_is_refused(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)
    unknown = waiting.decide(approved=True)
    unknown["params"]["action"]["payload"]["call"] = "call_0"
    malformed = waiting.decide(approved=True)
    malformed["params"]["action"]["payload"] = {"approved": "perhaps"}

    assert (await app_with_model.chatkit(unknown)).status_code == 404
    assert (await app_with_model.chatkit(malformed)).status_code == 400
    assert parcels.done == []


async def test_a_retry_takes_a_waiting_call_back(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)
    listed = await app_with_model.chatkit(op("items.list", thread_id=waiting.thread, order="asc"))
    message = listed.json()["data"][0]["id"]

    retry = op("threads.retry_after_item", thread_id=waiting.thread, item_id=message)
    await app_with_model.chatkit(retry)

    assert (await app_with_model.chatkit(waiting.decide(approved=True))).status_code == 404
    assert parcels.done == []


async def test_a_decision_that_is_sent_again_is_not_forgotten(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)
    model_api.script(Reply(status=500))
    for _ in range(2):
        headers = {"Idempotency-Key": "yes"}
        body = waiting.decide(approved=True)
        response = await app_with_model.http.post("/chatkit", json=body, headers=headers)
        assert response.status_code == 200

    assert _output(model_api) == "sent 5 g to Bonn"
    await app_with_model.chatkit(add(waiting.thread, "Did it work?"))
    assert _output(model_api) == "sent 5 g to Bonn"
    assert parcels.done == ["local: Bonn"]


async def test_a_cut_off_decision_that_is_sent_again_is_unknown(
    on_file: Settings, model_api: FakeModelApi, parcels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_engine.turns.turn.STOP_SECONDS", 0.1)
    headers = {"Idempotency-Key": "yes"}
    async with running_app(on_file) as app:
        waiting = await _ask(app, model_api, SLOW)
        body = waiting.decide(approved=True)
        running = asyncio.create_task(app.http.post("/chatkit", json=body, headers=headers))

        async def is_running() -> bool:
            return parcels.done == ["local: Bonn"]

        await eventually(is_running)
    await running

    async with running_app(on_file) as app:
        assert (await app.http.post("/chatkit", json=body, headers=headers)).status_code == 200

    assert "unknown" in _output(model_api)
    assert parcels.done == ["local: Bonn"]


async def test_a_client_tool_called_together_with_it_finds_its_output(
    app_on_each_wire: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    questions = [{"kind": "text", "question": "Why?"}]
    calls: list[Any] = [("ask_browser", {}), SEND, ("ask_user", {"questions": questions})]
    model_api.script(Reply(calls=calls))
    streamed = await app_on_each_wire.ask(create("Send it"))
    thread = thread_id(streamed)
    assert streamed[-1]["item"]["type"] == "client_tool_call"

    output = op("threads.add_client_tool_output", thread_id=thread, result={"at": "home"})
    await app_on_each_wire.ask(output)

    assert "home" in str(model_api.requests[-1])
    shown = {item["type"] for item in await app_on_each_wire.items(thread)}
    assert {"client_tool_call", "structured_input", "widget"} <= shown
    assert parcels.done == []


async def test_an_approved_tool_may_ask_the_user_and_the_front_end(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    waiting = await _ask(app_with_model, model_api, ("ask_both", {}))

    streamed = await app_with_model.ask(waiting.decide(approved=True))

    kinds = [event["item"]["type"] for event in streamed if "item" in event]
    assert kinds == ["widget", "structured_input", "client_tool_call"]
    assert len(model_api.requests) == 1
    output = op("threads.add_client_tool_output", thread_id=waiting.thread, result={"at": "home"})
    await app_with_model.ask(output)
    assert "home" in str(model_api.requests[-1])


async def test_a_retry_of_a_later_message_keeps_what_was_done(
    app_with_model: Running, model_api: FakeModelApi, parcels: Any
) -> None:
    waiting = await _ask(app_with_model, model_api)
    await app_with_model.ask(add(waiting.thread, "Wait"))
    await app_with_model.ask(waiting.decide(approved=True))
    items = await app_with_model.items(waiting.thread)
    later = [each["id"] for each in items if each["type"] == "user_message"][-1]

    retry = op("threads.retry_after_item", thread_id=waiting.thread, item_id=later)
    await app_with_model.ask(retry)
    await app_with_model.ask(add(waiting.thread, "Did it work?"))

    assert _output(model_api) == "sent 5 g to Bonn"
    assert (await app_with_model.chatkit(waiting.decide(approved=True))).status_code == 409
    assert parcels.done == ["local: Bonn"]
