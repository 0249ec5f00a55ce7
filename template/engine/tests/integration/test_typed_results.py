"""Typed results are retried until they are valid, shown as a widget, and returned as JSON."""

import asyncio
import json
from typing import Any

import pytest
from support.app import Running, running_app
from support.model_requests import Said, read
from support.sql import run_sql

from chatkit_engine.assistant.failures import NO_VALID_RESULT
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, answer, create, events, op, thread_id

PLAN: Json = {
    "title": "Move house",
    "steps": [{"title": "Sort", "minutes": 90}, {"title": "Pack", "minutes": 240}],
}
CALLED = Reply(calls=[("make_plan", {"goal": "Move house by May"})])
VALID = Reply(json.dumps(PLAN))


async def _planned(app: Running, api: FakeModelApi, *nested: Reply) -> list[Json]:
    api.script(CALLED, *nested, Reply("Here it is"))
    return events((await app.chatkit(create("Plan my move"))).text)


def _widgets(streamed: list[Json]) -> list[Json]:
    done = (event["item"] for event in streamed if event["type"] == "thread.item.done")
    return [item for item in done if item["type"] == "widget"]


def _boxes(item: Json) -> list[Json]:
    return [each for each in item["widget"]["children"] if each["type"] == "Checkbox"]


async def _check(app: Running, thread: str, item: str, payload: Any) -> Any:
    action = {"type": "plan.check", "payload": payload}
    request = op("threads.sync_custom_action", thread_id=thread, item_id=item, action=action)
    return await app.chatkit(request)


async def test_the_agent_is_asked_for_the_schema_and_its_result_is_shown_and_told(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    streamed = await _planned(app_with_model, model_api, VALID)

    (widget,) = _widgets(streamed)
    assert [box["label"] for box in _boxes(widget)] == ["Sort (90 min)", "Pack (240 min)"]
    assert answer(streamed).strip() == "Here it is"
    _, nested, outer = model_api.requests
    wanted = nested["text"]["format"]
    assert wanted["type"] == "json_schema"
    assert set(wanted["schema"]["properties"]) == {"title", "steps"}
    assert nested["input"] == [{"role": "user", "content": "Move house by May"}]
    assert json.loads(outer["input"][-1]["output"]) == PLAN


async def test_a_plain_client_gets_the_result_as_json(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(CALLED, VALID, Reply("Here it is"))

    reply = await app_with_model.http.post("/api/chat", json={"message": "Plan my move"})

    assert reply.json()["message"].strip() == "Here it is"
    assert reply.json()["results"] == [{"tool": "make_plan", "data": PLAN}]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("no JSON at all", "Invalid JSON"),
        ('{"title": "Move house"}', "steps: Field required"),
        ('{"title": "Move house", "steps": []}', "steps: List should have at least 1 item"),
        ('{"title": "x", "steps": [{"title": "y", "minutes": "9"}]}', "steps.0.minutes"),
    ],
)
async def test_a_result_that_does_not_match_is_retried(
    app_on_each_wire: Running, model_api: FakeModelApi, wrong: str, problem: str
) -> None:
    streamed = await _planned(app_on_each_wire, model_api, Reply(wrong), VALID)

    assert len(_widgets(streamed)) == 1
    assert streamed[-1]["type"] != "error"
    goal, first, correction = read(model_api.requests[2])
    assert goal == Said("user", "Move house by May")
    assert first == Said("assistant", wrong)
    assert correction.kind == "user"
    assert problem in correction.text


async def test_a_result_that_never_matches_ends_the_turn_and_the_next_one_works(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(CALLED, Reply("no"), Reply("no"), Reply("no"), Reply("fine again"))

    failed = events((await app_on_each_wire.chatkit(create("Plan my move"))).text)
    again = events((await app_on_each_wire.chatkit(add(thread_id(failed), "Hello"))).text)

    assert failed[-1] == {
        "type": "error",
        "code": "custom",
        "message": NO_VALID_RESULT,
        "allow_retry": True,
    }
    assert not _widgets(failed)
    assert answer(again).strip() == "fine again"
    assert [said.text for said in read(model_api.requests[-1]) if said.kind == "call"] == [
        "make_plan"
    ]


async def test_a_plain_client_is_told_that_the_result_never_matched(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(CALLED, Reply("no"), Reply("no"), Reply("no"))

    reply = await app_with_model.http.post("/api/chat", json={"message": "Plan my move"})

    assert reply.status_code == 502
    assert reply.json()["detail"] == NO_VALID_RESULT


async def test_every_attempt_counts_in_the_turns_usage(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _planned(app_with_model, model_api, Reply("no"), VALID)

    database = app_with_model.services.database
    ((usage,),) = await database.read(run_sql, "SELECT usage FROM turns")
    used = {"requests": 4, "input_tokens": 40, "output_tokens": 20}
    assert json.loads(usage).items() >= used.items()


async def test_a_planner_that_hangs_is_given_up_and_its_model_stopped(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(CALLED, Reply("never whole", hang_after_words=1), Reply("Sorry"))

    async with running_app(with_model.model_copy(update={"tool_timeout_seconds": 0.5})) as app:
        streamed = events((await app.chatkit(create("Plan my move"))).text)

        assert await asyncio.to_thread(model_api.dropped.wait, 10)
    assert answer(streamed).strip() == "Sorry"


async def test_a_step_is_checked_off_and_on_again_and_stays_so(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    streamed = await _planned(app_with_model, model_api, VALID)
    thread, (widget,) = thread_id(streamed), _widgets(streamed)
    action = _boxes(widget)[1]["onChangeAction"]
    assert action["type"] == "plan.check"
    assert action["streaming"] is False

    checked = await _check(app_with_model, thread, widget["id"], action["payload"])
    again = _boxes(checked.json()["updated_item"])[1]["onChangeAction"]["payload"]
    unchecked = await _check(app_with_model, thread, widget["id"], again)

    states = [
        [box["defaultChecked"] for box in _boxes(r.json()["updated_item"])]
        for r in (checked, unchecked)
    ]
    assert states == [[False, True], [False, False]]
    await _check(app_with_model, thread, widget["id"], {"step": 0, "done": True})
    stored = await app_with_model.chatkit(op("items.list", thread_id=thread, limit=10))
    (kept,) = [item for item in stored.json()["data"] if item["type"] == "widget"]
    assert [box["defaultChecked"] for box in _boxes(kept)] == [True, False]


@pytest.mark.parametrize(
    "payload", [{"step": 2, "done": True}, {"step": -1, "done": True}, {"step": "x"}, None, "x"]
)
async def test_an_unknown_step_is_refused(
    app_with_model: Running, model_api: FakeModelApi, payload: object
) -> None:
    streamed = await _planned(app_with_model, model_api, VALID)
    (widget,) = _widgets(streamed)

    refused = await _check(app_with_model, thread_id(streamed), widget["id"], payload)

    assert refused.status_code == 400
    assert refused.json()["code"] == "bad_request"


async def test_steps_that_are_checked_off_at_once_are_all_kept(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    many = [{"title": f"Step {number}", "minutes": 1} for number in range(6)]
    plan = Reply(json.dumps({"title": "Many", "steps": many}))
    streamed = await _planned(app_with_model, model_api, plan)
    thread, (widget,) = thread_id(streamed), _widgets(streamed)

    payloads = [{"step": number, "done": True} for number in range(6)]
    checks = (_check(app_with_model, thread, widget["id"], each) for each in payloads)
    answers = await asyncio.gather(*checks)

    assert [each.status_code for each in answers] == [200] * 6
    listed = await app_with_model.chatkit(op("items.list", thread_id=thread, limit=100))
    stored = [item for item in listed.json()["data"] if item["type"] == "widget"]
    assert [box["defaultChecked"] for box in _boxes(stored[0])] == [True] * 6
