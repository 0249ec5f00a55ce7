"""Tests handoffs between the assistant and its specialists within a thread."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sample import assistant
from sample.agents import researcher, writer
from support.app import Running, running_app
from support.model_requests import Said, read
from support.sql import run_sql

from chatkit_engine.assistant.failures import TOO_LONG, TOO_MANY_HANDOFFS, TOOL_FAILED
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.fake_model_api.reply import text_of
from chatkit_engine.testing.requests import (
    Json,
    add,
    answer,
    create,
    events,
    named_events,
    thread_id,
)

ASSISTANT, WRITER, RESEARCHER = (
    instructions.split(".")[0]
    for instructions in (assistant.INSTRUCTIONS, writer.INSTRUCTIONS, researcher.INSTRUCTIONS)
)
TO_WRITER = Reply(calls=[("transfer_to_writer", {})])
TO_RESEARCHER = Reply(calls=[("transfer_to_researcher", {})])
TO_ASSISTANT = Reply(calls=[("transfer_to_assistant", {})])


@pytest.fixture
async def app_with_two_handoffs(with_model: Settings) -> AsyncGenerator[Running]:
    async with running_app(with_model.model_copy(update={"max_handoffs": 2})) as running:
        yield running


async def _opened(app: Running, api: FakeModelApi) -> str:
    api.script(Reply("hello"))
    return thread_id(events((await app.chatkit(create("Hi"))).text))


async def _say(app: Running, thread: str, text: str) -> list[Json]:
    return events((await app.chatkit(add(thread, text))).text)


def _agent_of(request: Json) -> str:
    """Return the agent whose instructions a request to the model has."""
    return _instructions(request).split(".")[0]


def _instructions(request: Json) -> str:
    messages: list[Json] = request.get("messages", [])
    return text_of(messages[0]) if messages else request["instructions"]


def _calls(request: Json) -> list[str]:
    """Return the names of the calls in a request."""
    return [said.text for said in read(request) if said.kind == "call"]


def _tools(request: Json) -> set[str]:
    return {tool["name"] for tool in request["tools"]}


async def test_the_assistants_handoffs_are_the_specialists(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await app_with_model.chatkit(create("Hi"))

    request = model_api.requests[0]
    assert {"transfer_to_writer", "transfer_to_researcher", "translate"} <= _tools(request)
    assert "- Writer: drafts and revises texts" in request["instructions"]
    assert "- Researcher: looks for something" in request["instructions"]


async def test_a_specialist_answers_and_keeps_the_thread_in_the_next_turn(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    thread = await _opened(app_on_each_wire, model_api)
    model_api.script(TO_WRITER, Reply("Dear Ada"), Reply("Dear Bob"))

    first = await _say(app_on_each_wire, thread, "Write to Ada")
    second = await _say(app_on_each_wire, thread, "To Bob instead")

    assert answer(first).strip() == "Dear Ada"
    assert answer(second).strip() == "Dear Bob"
    agents = [_agent_of(request) for request in model_api.requests]
    assert agents == [ASSISTANT] * 2 + [WRITER] * 2
    assert _calls(model_api.requests[2]) == ["transfer_to_writer"]
    assert _calls(model_api.requests[3]) == ["transfer_to_writer"]
    texts = [
        said.text for said in read(model_api.requests[3]) if said.kind in ("user", "assistant")
    ]
    assert texts[-3:] == ["Write to Ada", "Dear Ada", "To Bob instead"]


async def test_the_user_is_told_who_takes_over(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _opened(app_with_model, model_api)
    model_api.script(TO_WRITER, Reply("Dear Ada"))

    streamed = await _say(app_with_model, thread, "Write to Ada")

    told = [event["text"] for event in streamed if event["type"] == "progress_update"]
    assert "Writer takes over." in told


async def test_a_specialist_hands_back(app_on_each_wire: Running, model_api: FakeModelApi) -> None:
    thread = await _opened(app_on_each_wire, model_api)
    model_api.script(TO_RESEARCHER, Reply("found"), TO_ASSISTANT, Reply("noon"), Reply("soon"))

    await _say(app_on_each_wire, thread, "Where is my list?")
    await _say(app_on_each_wire, thread, "What time is it?")
    await _say(app_on_each_wire, thread, "And lunch?")

    agents = [_agent_of(request) for request in model_api.requests[2:]]
    assert agents == [RESEARCHER] * 2 + [ASSISTANT] * 2
    assert "- Assistant: " in _instructions(model_api.requests[2])


async def test_a_specialist_knows_the_page_and_the_language(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(TO_WRITER, Reply("gekürzt"))
    body = {"message": "Shorten it", "context": {"selected_text": "a long text"}}

    await app_with_model.http.post("/api/chat", json=body, headers={"Accept-Language": "de-AT"})

    instructions = model_api.requests[1]["instructions"]
    assert instructions.startswith(WRITER)
    assert "a long text" in model_api.texts()[-2]
    assert "de-AT" in instructions


async def test_a_chosen_tool_is_called_by_the_assistant(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _opened(app_with_model, model_api)
    model_api.script(TO_WRITER, Reply("Dear Ada"), Reply("chosen"), Reply("Dear Bob"))
    await _say(app_with_model, thread, "Write to Ada")
    chosen = add(thread, "Now?")
    chosen["params"]["input"]["inference_options"] = {"tool_choice": {"id": "current_time"}}

    await app_with_model.chatkit(chosen)
    await _say(app_with_model, thread, "To Bob instead")

    assert _agent_of(model_api.requests[3]) == ASSISTANT
    assert model_api.requests[3]["tool_choice"] == {"type": "function", "name": "current_time"}
    assert _agent_of(model_api.requests[4]) == WRITER


async def test_a_cycle_of_handoffs_ends_with_an_error_and_the_previous_agent(
    app_with_two_handoffs: Running, model_api: FakeModelApi
) -> None:
    app = app_with_two_handoffs
    thread = await _opened(app, model_api)
    model_api.script(TO_WRITER, TO_ASSISTANT, TO_RESEARCHER, Reply("fine again"))

    failed = await _say(app, thread, "Go round")
    again = await _say(app, thread, "Once more")

    assert failed[-1] == {
        "type": "error",
        "code": "custom",
        "message": TOO_MANY_HANDOFFS,
        "allow_retry": False,
    }
    assert answer(again).strip() == "fine again"
    assert _agent_of(model_api.requests[-1]) == ASSISTANT
    told = ["transfer_to_writer", "transfer_to_assistant"]
    assert _calls(model_api.requests[-1])[:2] == told


async def test_a_failing_specialist_leaves_the_thread_with_the_previous_agent(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    thread = await _opened(app_on_each_wire, model_api)
    model_api.script(TO_WRITER, Reply(status=500), Reply("here"))

    failed = await _say(app_on_each_wire, thread, "Write to Ada")
    again = await _say(app_on_each_wire, thread, "Are you there?")

    assert failed[-1]["type"] == "error"
    assert answer(again).strip() == "here"
    assert _agent_of(model_api.requests[-1]) == ASSISTANT
    assert _calls(model_api.requests[-1]) == ["transfer_to_writer"]


async def test_a_tool_loop_ends_with_an_error_and_the_next_turn_works(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(with_model.model_copy(update={"max_model_calls": 3})) as app:
        thread = await _opened(app, model_api)
        model_api.script(*[Reply(calls=[("current_time", {})])] * 3, Reply("fine again"))

        failed = await _say(app, thread, "Loop")
        again = await _say(app, thread, "Once more")

    assert failed[-1]["message"] == TOO_LONG
    assert answer(again).strip() == "fine again"
    assert len(model_api.requests) == 5


async def test_an_agent_as_a_tool_answers_the_agent_that_calls_it(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    text: dict[str, Any] = {"input": "Into German: good morning"}
    model_api.script(
        Reply(calls=[("translate", text)]), Reply("Guten Morgen"), Reply("It is Guten Morgen")
    )

    streamed = events((await app_on_each_wire.chatkit(create("Good morning in German?"))).text)

    assert answer(streamed).strip() == "It is Guten Morgen"
    asked, nested, outer = model_api.requests
    assert _agent_of(nested) == "You translate"
    assert read(nested) == [Said("user", "Into German: good morning")]
    assert not nested.get("tools")
    assert read(outer)[-1].text.strip() == "Guten Morgen"
    assert _agent_of(outer) == _agent_of(asked)


async def test_a_nested_agents_tokens_count_in_the_turn(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    text: dict[str, Any] = {"input": "Into German: good morning"}
    model_api.script(Reply(calls=[("translate", text)]), Reply("Guten Morgen"), Reply("So"))

    await app_with_model.chatkit(create("Good morning in German?"))

    database = app_with_model.services.database
    ((usage,),) = await database.read(run_sql, "SELECT usage FROM turns")
    used = {"requests": 3, "input_tokens": 30, "output_tokens": 15}
    assert json.loads(usage).items() >= used.items()


async def test_a_nested_agent_that_fails_is_a_tool_that_failed(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    text: dict[str, Any] = {"input": "Into German: good morning"}
    model_api.script(Reply(calls=[("translate", text)]), Reply(status=500), Reply("Sorry"))

    streamed = events((await app_on_each_wire.chatkit(create("Good morning in German?"))).text)

    assert answer(streamed).strip() == "Sorry"
    assert read(model_api.requests[-1])[-1].text == TOOL_FAILED


async def test_a_nested_agent_that_hangs_is_given_up_and_its_model_stopped(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    text: dict[str, Any] = {"input": "Into German: good morning"}
    hanging = Reply("Guten Morgen", hang_after_words=1)
    model_api.script(Reply(calls=[("translate", text)]), hanging, Reply("Sorry"))

    async with running_app(with_model.model_copy(update={"tool_timeout_seconds": 0.5})) as app:
        streamed = events((await app.chatkit(create("Good morning in German?"))).text)

        assert await asyncio.to_thread(model_api.dropped.wait, 10)
    assert answer(streamed).strip() == "Sorry"
    assert "timed out" in model_api.requests[-1]["input"][-1]["output"]


async def test_plain_clients_see_the_handoff_as_a_tool(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(TO_WRITER, Reply("Dear Ada"))

    body = {"message": "Write to Ada", "stream": True}
    sent = named_events((await app_with_model.http.post("/api/chat", json=body)).text)

    told = [data for name, data in sent if name == "tool"]
    assert told == [
        {"name": "transfer_to_writer", "status": "called"},
        {"name": "transfer_to_writer", "status": "answered"},
    ]
