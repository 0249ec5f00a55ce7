"""Tools of the front end, whose outputs come late, twice, wrong, too long, or never."""

import pytest
from support.app import Running, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, answer, create, items_of, op, thread_id

PAGE = {"title": "Loops", "text": "A loop repeats."}
HAS_TOOLS = {"client_tools": ["read_page", "open_page"]}

PAGER = '''
from agents import function_tool
from agents.tool_context import ToolContext

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.client_tools import ClientTool
from chatkit_engine.assistant.context import TurnContext


@function_tool
async def read_clipboard(ctx: ToolContext[TurnContext]) -> str:
    """Read the clipboard."""
    return ctx.context.call_client(ctx, "read_clipboard", limit=10)


@function_tool
async def undeclared(ctx: ToolContext[TurnContext]) -> str:
    """Call what is not declared."""
    return ctx.context.call_client(ctx, "undeclared")


def install(builder: Builder) -> None:
    builder.add_tools(read_clipboard, undeclared)
    builder.add_client_tools(ClientTool("read_clipboard", list[int]))
'''


def _output(thread: str, result: object) -> Json:
    return op("threads.add_client_tool_output", thread_id=thread, result=result)


async def _called(app: Running, model_api: FakeModelApi, *tools: str) -> str:
    model_api.script(Reply(calls=[(tool, {}) for tool in tools or ("read_page",)]))
    streamed = await app.ask(create("What is this page about?", HAS_TOOLS))
    [call] = items_of(streamed, "client_tool_call")
    assert streamed[-1]["item"] == call
    assert (call["name"], call["status"]) == ((tools or ("read_page",))[0], "pending")
    return thread_id(streamed)


def _inputs(model_api: FakeModelApi) -> list[str]:
    return [item.get("type", "message") for item in model_api.requests[-1]["input"]]


async def test_the_output_reaches_the_model_as_the_calls_own(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _called(app_with_model, model_api)
    model_api.script(Reply("It is about loops"))

    streamed = await app_with_model.ask(_output(thread, PAGE))

    assert answer(streamed).strip() == "It is about loops"
    assert _inputs(model_api) == ["message", "function_call", "function_call_output"]
    assert "A loop repeats." in model_api.requests[-1]["input"][-1]["output"]
    stored = await app_with_model.items(thread)
    assert (stored[1]["status"], stored[1]["output"]) == ("completed", PAGE)


@pytest.mark.parametrize(
    ("wrong", "status", "says"),
    [
        (None, 400, ""),
        ("text", 400, ""),
        ({"title": "Loops"}, 400, "text"),
        ({**PAGE, "more": 1}, 400, "more"),
        ({**PAGE, "text": 5}, 400, "text"),
        ({**PAGE, "text": "x" * 100_001}, 413, ""),
    ],
)
async def test_a_wrong_output_is_refused_in_words_and_the_right_one_may_follow(
    app_with_model: Running, model_api: FakeModelApi, wrong: object, status: int, says: str
) -> None:
    thread = await _called(app_with_model, model_api)

    refused = await app_with_model.chatkit(_output(thread, wrong))
    streamed = await app_with_model.ask(_output(thread, PAGE))

    assert refused.status_code == status
    assert "output" in refused.json()["detail"]
    assert says in str(refused.json().get("errors"))
    assert streamed[-1]["type"] == "thread.item.done"
    assert len(model_api.requests) == 2


async def test_a_doubled_output_is_refused(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _called(app_with_model, model_api)
    await app_with_model.ask(_output(thread, PAGE))

    doubled = await app_with_model.chatkit(_output(thread, PAGE))

    assert doubled.status_code == 409
    assert len(model_api.requests) == 2


async def test_without_an_output_the_conversation_goes_on_and_a_late_one_is_refused(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _called(app_with_model, model_api)

    streamed = await app_with_model.ask(add(thread, "Never mind"))
    late = await app_with_model.chatkit(_output(thread, PAGE))

    assert answer(streamed).strip() == "echo: Never mind"
    assert _inputs(model_api) == ["message", "message"]
    assert late.status_code == 409


async def test_a_search_and_then_a_client_tool_go_on_in_one_workflow(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("search_threads", {"query": "x"})]))
    thread = await _called(app_with_model, model_api)
    model_api.script(Reply("Done"))

    streamed = await app_with_model.ask(_output(thread, PAGE))

    assert answer(streamed).strip() == "Done"
    [workflow] = items_of(streamed, "workflow")
    assert workflow["workflow"]["tasks"][0]["status_indicator"] == "complete"
    kinds = [item["type"] for item in await app_with_model.items(thread)]
    assert kinds == ["user_message", "workflow", "client_tool_call", "assistant_message"]


async def test_the_front_end_runs_one_tool_at_a_time(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("pager", PAGER)
    async with running_app(with_model) as app:
        thread = await _called(app, model_api, "read_clipboard", "read_page")
        refused = await app.chatkit(_output(thread, ["x"]))
        await app.ask(_output(thread, [1, 2]))

    assert refused.status_code == 400
    calls = [item for item in model_api.requests[-1]["input"] if "call_id" in item]
    outputs = {item["call_id"]: item["output"] for item in calls if "output" in item}
    names = {item["name"]: item["call_id"] for item in calls if "name" in item}
    assert outputs[names["read_clipboard"]] == "[1, 2]"
    assert "one tool at a time" in outputs[names["read_page"]]
    assert len(calls) == 4


async def test_the_output_of_an_undeclared_client_tool_is_not_checked(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("pager", PAGER)
    async with running_app(with_model) as app:
        thread = await _called(app, model_api, "undeclared")
        await app.ask(_output(thread, {"x": [1]}))

    assert '{"x": [1]}' in str(model_api.requests[-1])


async def test_a_front_end_that_does_not_say_that_it_has_a_tool_is_not_called(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await app_with_model.ask(create("Hello"))
    await app_with_model.ask(create("Hello", HAS_TOOLS))
    await app_with_model.http.post("/api/chat", json={"message": "Hello"})

    offered = [{tool["name"] for tool in each["tools"]} for each in model_api.requests]
    assert offered[1] - offered[0] == {"read_page", "open_page"}
    assert offered[2] == offered[0]
