"""Tests what later turns know of tool calls, and what happens to calls that fail."""

from typing import Any

import pytest
from support.app import Running, running_app
from support.tools import TOOLS

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, answer, create, events, op, thread_id

WEIGH = ("weigh", {"parcel": {"city": "Bonn", "grams": 5}})


@pytest.fixture(autouse=True)
def _tools(add_feature: AddFeature) -> Any:  # pyright: ignore[reportUnusedFunction]
    return add_feature("parcels", TOOLS)


async def _ask(app: Running, request: Json) -> list[Json]:
    response = await app.chatkit(request)
    assert response.status_code == 200, response.text
    return events(response.text)


def _pairs(request: Json) -> list[tuple[str, str]]:
    """Return the calls of a model's request with their outputs; none may be without the other."""
    calls = [item for item in request["input"] if item.get("type") == "function_call"]
    outputs = [item for item in request["input"] if item.get("type") == "function_call_output"]
    assert [call["call_id"] for call in calls] == [output["call_id"] for output in outputs]
    return [(call["name"], output["output"]) for call, output in zip(calls, outputs, strict=True)]


async def test_the_next_turn_has_the_outputs_of_tools(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Let me weigh it.", calls=[WEIGH]), Reply("It is light."))
    thread = thread_id(await _ask(app_with_model, create("How heavy?")))

    await _ask(app_with_model, add(thread, "And now?"))

    assert _pairs(model_api.requests[-1]) == [("weigh", "Bonn weighs 5")]
    kinds = [item.get("type", item.get("role")) for item in model_api.requests[-1]["input"]]
    assert kinds.index("function_call_output") < kinds.index("assistant", 2)


async def test_calls_are_not_among_the_items_of_the_thread(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[WEIGH]), Reply("Light."))
    thread = thread_id(await _ask(app_with_model, create("How heavy?")))

    for limit in (1, 2, 100):
        params = {"thread_id": thread, "limit": limit, "order": "asc"}
        listed = (await app_with_model.chatkit(op("items.list", **params))).json()["data"]
        kinds = [item["type"] for item in listed]
        assert kinds == ["user_message", "assistant_message"][:limit]
    read = (await app_with_model.chatkit(op("threads.get_by_id", thread_id=thread))).text
    assert "weigh" not in read


@pytest.mark.parametrize("after", ["retry", "delete"])
async def test_a_call_is_deleted_with_its_turn(
    app_with_model: Running, model_api: FakeModelApi, after: str
) -> None:
    model_api.script(Reply(calls=[WEIGH]), Reply("Light."))
    streamed = await _ask(app_with_model, create("How heavy?"))
    thread = thread_id(streamed)
    if after == "delete":
        await app_with_model.chatkit(op("threads.delete", thread_id=thread))
    else:
        message = streamed[1]["item"]["id"]
        retry = op("threads.retry_after_item", thread_id=thread, item_id=message)
        await _ask(app_with_model, retry)
        await _ask(app_with_model, add(thread, "And now?"))
        assert _pairs(model_api.requests[-1]) == []

    export = (await app_with_model.http.get("/api/me/data")).text
    assert "Bonn" not in export


async def test_two_calls_at_once_are_both_remembered(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    other = ("weigh", {"parcel": {"city": "Köln", "grams": 6}})
    model_api.script(Reply(calls=[WEIGH, other]), Reply("Both light."))
    thread = thread_id(await _ask(app_with_model, create("How heavy?")))

    await _ask(app_with_model, add(thread, "And now?"))

    assert _pairs(model_api.requests[-1]) == [
        ("weigh", "Bonn weighs 5"),
        ("weigh", "Köln weighs 6"),
    ]


async def test_a_client_tool_beside_another_gets_its_own_output(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    """Upstream gives the output to the call that came last."""
    model_api.script(Reply(calls=[("ask_browser", {}), WEIGH]))
    streamed = await _ask(app_with_model, create("What do I see?"))
    thread = thread_id(streamed)
    assert streamed[-1]["item"]["type"] == "client_tool_call"

    output = op("threads.add_client_tool_output", thread_id=thread, result={"seen": "a cat"})
    await _ask(app_with_model, output)

    assert sorted(_pairs(model_api.requests[-1])) == [
        ("ask_browser", '{"seen": "a cat"}'),
        ("weigh", "Bonn weighs 5"),
    ]


async def test_an_unanswered_client_tool_does_not_block_the_thread(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("ask_browser", {})]))
    thread = thread_id(await _ask(app_with_model, create("What do I see?")))

    streamed = await _ask(app_with_model, add(thread, "Never mind"))

    assert answer(streamed).strip() == "echo: Never mind"
    assert _pairs(model_api.requests[-1]) == []


async def test_an_output_is_limited_and_cut_between_characters(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("read_all", {})]), Reply("I have read it."))
    streamed = await _ask(app_with_model, create("Read"))
    await _ask(app_with_model, add(thread_id(streamed), "And?"))

    assert answer(streamed).strip() == "I have read it."
    for request in model_api.requests[1:]:
        [(_, output)] = _pairs(request)
        assert output.startswith("\N{REPLACEMENT CHARACTER}x")
        assert len(output) < 100_000


async def test_the_model_learns_that_a_tool_failed_but_not_why(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("broken", {})]), Reply("It did not work."))

    streamed = await _ask(app_with_model, create("Break"))

    assert answer(streamed).strip() == "It did not work."
    [(_, output)] = _pairs(model_api.requests[-1])
    assert "failed" in output
    assert "secret" not in str(model_api.requests[-1])


async def test_a_tool_that_never_returns_times_out(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    settings = with_model.model_copy(update={"tool_timeout_seconds": 0.1})
    model_api.script(Reply(calls=[("endless", {})]), Reply("It took too long."))

    async with running_app(settings) as app:
        streamed = await _ask(app, create("Wait"))

    assert answer(streamed).strip() == "It took too long."
    [(_, output)] = _pairs(model_api.requests[-1])
    assert "timed out" in output


@pytest.mark.parametrize("arguments", [{"parcel": {"city": "Bonn"}}, {"wrong": 1}])
async def test_wrong_arguments_are_retried_a_limited_number_of_times(
    app_with_model: Running, model_api: FakeModelApi, arguments: Json
) -> None:
    wrong = Reply(calls=[("weigh", arguments)])
    model_api.script(wrong, wrong, wrong, Reply("never asked for"))

    streamed = await _ask(app_with_model, create("How heavy?"))

    assert streamed[-1]["type"] == "error"
    assert "form" in streamed[-1]["message"]
    assert len(model_api.requests) == 3
    assert "schema" in _pairs(model_api.requests[-1])[0][1]
    thread = thread_id(streamed)
    following = await _ask(app_with_model, add(thread, "Leave it"))
    assert answer(following).strip() == "never asked for"


WRONG = {
    '{"parcel": {"city": "Bonn"}}': "parcel: 'grams' is a required property",
    '{"parcel": {"city": "Bonn", "grams": "many"}}': "parcel.grams: 'many' is not of type",
    '{"parcel": {"city": ["Bonn"], "grams": 5}}': "parcel.city: ['Bonn'] is not of type 'string'",
    '{"parcel": "' + "x" * 5000 + '"}': "parcel: 'xxxxx",
    "{}": "'parcel' is a required property",
    "[1, 2]": "a JSON object is needed",
    '{"parcel": {"city": "Bo': "not valid JSON: Unterminated string",
    "Bonn": "not valid JSON",
}


@pytest.mark.parametrize("arguments", WRONG)
async def test_the_model_hears_which_argument_is_wrong_and_why_and_the_log_nothing(
    each_wire: Settings,
    model_api: FakeModelApi,
    arguments: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_api.script(Reply(calls=[("weigh", arguments)]), Reply("Sorry."))

    async with running_app(each_wire) as app:
        await _ask(app, create("How heavy?"))

    [output] = model_api.tool_outputs()
    assert WRONG[arguments] in output
    assert len(output) < 1000
    assert "Bonn" not in caplog.text + capsys.readouterr().err


async def test_corrected_arguments_run_the_tool(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    wrong = Reply(calls=[("weigh", {"parcel": {"city": "Bonn"}})])
    model_api.script(wrong, wrong, Reply(calls=[WEIGH]), Reply("Light."))

    streamed = await _ask(app_with_model, create("How heavy?"))

    assert answer(streamed).strip() == "Light."


async def test_a_tool_that_does_not_exist_is_told_to_the_model(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("invented", {})]), Reply("There is no such tool."))

    streamed = await _ask(app_with_model, create("Do it"))

    assert answer(streamed).strip() == "There is no such tool."


async def test_a_loop_of_tools_ends_in_a_clear_error_and_the_next_turn_works(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(calls=[WEIGH])
    streamed = await _ask(app_with_model, create("Weigh for ever"))
    assert streamed[-1]["type"] == "error"
    assert "too many steps" in streamed[-1]["message"]

    model_api.default = None
    following = await _ask(app_with_model, add(thread_id(streamed), "Stop"))

    assert answer(following).strip() == "echo: Stop"
