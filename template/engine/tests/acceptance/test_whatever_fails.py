"""After any failure there is a clear error, a closed turn, and a next turn that works."""

from typing import Any

import pytest
from support.app import Running, running_app
from support.model_requests import read
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, answer, create, events, thread_id

SHAKY = '''
import asyncio

from agents import Agent, RunContextWrapper, function_tool

from chatkit_engine.assistant.agent_factory import AgentFactory
from chatkit_engine.builder import Builder
from chatkit_engine.assistant.context import TurnContext


@function_tool
def broken(ctx: RunContextWrapper[TurnContext]) -> str:
    """Break."""
    raise RuntimeError("a secret of the inside")


@function_tool
async def endless(ctx: RunContextWrapper[TurnContext]) -> str:
    """Never return."""
    await asyncio.Event().wait()
    return "never"


def expert(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Expert", "You know.", handoff_description="knows")


def install(builder: Builder) -> None:
    builder.add_tools(broken, endless)
    builder.add_specialist(expert)
'''

TO_EXPERT = Reply(calls=[("transfer_to_expert", {})])
BACK = Reply(calls=[("transfer_to_assistant", {})])
pytestmark = pytest.mark.slow

FAILURES: dict[str, tuple[list[Reply], str]] = {
    "429 three times": ([Reply(status=429, headers={"Retry-After": "0"})] * 3, "busy"),
    "500 three times": ([Reply(status=500)] * 3, "could not answer"),
    "400": ([Reply(status=400)], "could not answer"),
    "cut in the middle": ([Reply("one two three", cut_after_words=2)], "could not answer"),
    "an early end": ([Reply("one two three", end_after_words=2)], "could not answer"),
    "a hang before the first word": ([Reply(hangs=True)] * 3, "could not answer"),
    "a hang in the middle": ([Reply("one two three", hang_after_words=2)], "could not answer"),
    "malformed arguments": ([Reply(calls=[("broken", '{"a": ')])] * 3, "form"),
    "a tool that raises": ([Reply(calls=[("broken", {})])] * 12, "too many steps"),
    "a tool that never returns": ([Reply(calls=[("endless", {})])] * 12, "too many steps"),
    "a tool that is not there": ([Reply(calls=[("invented", {})])] * 12, "too many steps"),
    "a cycle of handoffs": ([TO_EXPERT, BACK] * 6, "too often"),
}


@pytest.fixture
def shaky(each_wire: Settings, add_feature: AddFeature) -> Settings:
    add_feature("shaky", SHAKY)
    changes: dict[str, Any] = {
        "llm_max_retries": 2,
        "llm_timeout_seconds": 0.3,
        "tool_timeout_seconds": 0.05,
        "llm_breaker_failures": 100,
    }
    return each_wire.model_copy(update=changes)


async def _ask(app: Running, request: Json) -> list[Json]:
    response = await app.chatkit(request)
    assert response.status_code == 200, response.text
    return events(response.text)


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_user_hears_what_to_do_and_the_next_turn_works(
    shaky: Settings, model_api: FakeModelApi, failure: str
) -> None:
    replies, words = FAILURES[failure]
    async with running_app(shaky) as app:
        model_api.script(*replies)
        streamed = await _ask(app, create("Do it"))
        model_api.forget_script()
        following = await _ask(app, add(thread_id(streamed), "And now?"))
        read_rows = app.services.database.read
        states = await read_rows(run_sql, "SELECT state FROM turns ORDER BY seq")

    assert [event["type"] for event in streamed].count("error") == 1
    assert streamed[-1]["type"] == "error"
    assert words in streamed[-1]["message"]
    assert [state for (state,) in states] == ["failed", "completed"]
    assert answer(following).strip() == "echo: And now?"
    read(model_api.requests[-1])
    for text in ("secret", "scripted error", "Traceback", "Error:"):
        assert text not in str(streamed) + str(following) + str(model_api.requests)


@pytest.mark.parametrize("failure", ["cut in the middle", "a hang in the middle"])
async def test_text_before_the_failure_is_kept(
    shaky: Settings, model_api: FakeModelApi, failure: str
) -> None:
    async with running_app(shaky) as app:
        model_api.script(*FAILURES[failure][0])
        thread = thread_id(await _ask(app, create("Do it")))
        model_api.forget_script()
        await _ask(app, add(thread, "And now?"))

    said = [each.text for each in read(model_api.requests[-1])]
    assert said[:2] == ["Do it", "one two"]


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_plain_chat_answers_with_a_problem(
    shaky: Settings, model_api: FakeModelApi, failure: str
) -> None:
    replies, words = FAILURES[failure]
    async with running_app(shaky) as app:
        model_api.script(*replies)
        response = await app.http.post("/api/chat", json={"message": "Do it"})

    assert response.status_code == 502
    assert words in response.json()["detail"]
    assert "secret" not in response.text
