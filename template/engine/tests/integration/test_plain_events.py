"""Tests the events of `/api/chat` besides text: tools, results, citations, notices and items."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from support.app import Running, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import create, named_events

GUIDE = '''
from agents import RunContextWrapper, function_tool
from chatkit.types import EntitySource, FileSource, StructuredInput, URLSource
from chatkit.widgets import WidgetTemplate
from pydantic import BaseModel

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.context import TurnContext

Context = RunContextWrapper[TurnContext]
WIDGET = WidgetTemplate(
    {
        "version": "1.0",
        "name": "hello",
        "template": '{"type": "Card", "children": [{"type": "Text", "value": "Hello"}]}',
    }
)


class Found(BaseModel):
    count: int


@function_tool
async def look_up(ctx: Context) -> Found:
    """Look up."""
    context = ctx.context
    context.cite(URLSource(title="Docs", url="https://docs.example"))
    context.cite(FileSource(title="Report", filename="report.pdf"))
    context.cite(EntitySource(title="Ada", id="user_1"))
    return Found(count=3)


@function_tool
async def show_all(ctx: Context) -> str:
    """Show."""
    context = ctx.context
    await context.progress("Looking")
    await context.notice("warning", "Careful", title="Mind")
    await context.effect("blink", times=2)
    await context.remember("a secret of the assistant")
    item = await context.show(WIDGET.build())
    await context.replace(item, WIDGET.build(), copy_text="Hello again")
    return "shown"


def install(builder: Builder) -> None:
    builder.add_tools(look_up, show_all)
'''
CITED = "See [1] and [2], ask [3]; not [4]."


@pytest.fixture
async def guided(with_model: Settings, add_feature: AddFeature) -> AsyncGenerator[Running]:
    add_feature("guide", GUIDE)
    async with running_app(with_model) as running:
        yield running


async def _post(app: Running, key: str | None = None, **body: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await app.http.post("/api/chat", json={"message": "Hi", **body}, headers=headers)


async def test_tool_calls_and_their_outputs_are_events(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("look_up", {})]), Reply("Three"))

    sent = named_events((await _post(guided, stream=True)).text)

    told = [(name, data) for name, data in sent if name in ("tool", "result")]
    assert told == [
        ("tool", {"name": "look_up", "status": "called"}),
        ("tool", {"name": "look_up", "status": "answered"}),
        ("result", {"tool": "look_up", "data": {"count": 3}}),
    ]
    assert [name for name, _ in sent if name != "delta"][-2:] == ["message", "done"]


async def test_citations_name_the_source_of_each_position(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("look_up", {})]), Reply(CITED))
    streamed = named_events((await _post(guided, stream=True)).text)
    model_api.script(Reply(calls=[("look_up", {})]), Reply(CITED))
    reply = (await _post(guided)).json()

    cited = [
        {"type": "url", "title": "Docs", "url": "https://docs.example", "index": 7},
        {"type": "file", "title": "Report", "filename": "report.pdf", "index": 15},
        {"type": "entity", "title": "Ada", "id": "user_1", "index": 24},
    ]
    assert [data["citations"] for name, data in streamed if name == "message"] == [cited]
    assert reply["citations"] == cited
    for citation in cited:
        assert reply["message"][: citation["index"]].endswith("]")


async def test_citations_count_from_the_start_of_joined_messages(
    guided: Running, model_api: FakeModelApi
) -> None:
    first = Reply("Looking it up", calls=[("look_up", {})])
    model_api.script(first, Reply("See [1]"))

    reply = (await _post(guided)).json()

    (citation,) = reply["citations"]
    assert reply["message"][: citation["index"]].endswith("See [1]")


async def test_notices_effects_and_items_are_sent_but_nothing_hidden(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("show_all", {})]), Reply("Done"))

    body = (await _post(guided, stream=True)).text

    sent = named_events(body)
    told = {name: data for name, data in sent if name in ("progress", "notice", "effect")}
    assert told == {
        "progress": {"text": "Looking"},
        "notice": {"level": "warning", "title": "Mind", "message": "Careful"},
        "effect": {"name": "blink", "data": {"times": 2}},
    }
    shown, replaced = [data for name, data in sent if name == "item"]
    assert shown["type"] == "widget"
    assert shown["created_at"].endswith("Z")
    assert replaced == shown | {"copy_text": "Hello again"}
    assert "secret" not in body


async def test_text_removed_by_a_guardrail_is_not_in_the_answer(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    settings = with_model.model_copy(update={"blocked_output": ["password"]})
    async with running_app(settings) as app:
        model_api.script(Reply("the password is swordfish"), Reply("the password is swordfish"))
        reply = (await _post(app)).json()
        sent = named_events((await _post(app, stream=True)).text)

    assert "swordfish" not in json.dumps(reply)
    message = next(data for name, data in sent if name == "message")
    assert {"id": message["message_id"]} in [data for name, data in sent if name == "removed"]


async def test_an_answer_that_is_sent_again_has_the_same_results_and_citations(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("look_up", {}), ("show_all", {})]), Reply(CITED))

    first = await _post(guided, key="one")
    again = await _post(guided, key="one")

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert len(again.json()["citations"]) == 3
    assert again.json()["results"] == [{"tool": "look_up", "data": {"count": 3}}]
    assert len(model_api.requests) == 2


async def test_a_repeated_stream_has_tools_and_items_but_nothing_hidden(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("look_up", {}), ("show_all", {})]), Reply(CITED))

    first = named_events((await _post(guided, key="one", stream=True)).text)
    again = await _post(guided, key="one", stream=True)

    sent = named_events(again.text)
    for name in ("thread", "result", "message", "done"):
        of_first = [data for each, data in first if each == name]
        assert [data for each, data in sent if each == name] == of_first
    assert [data["type"] for name, data in sent if name == "item"] == ["widget"]
    assert {"name": "show_all", "status": "answered"} in [data for _, data in sent]
    assert "secret" not in again.text


async def test_chatkits_clients_are_not_sent_tool_events_again(
    guided: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("look_up", {})]), Reply(CITED))
    key = {"Idempotency-Key": "one"}

    await guided.http.post("/chatkit", json=create("Hi"), headers=key)
    response = await guided.http.post("/chatkit", json=create("Hi"), headers=key)

    assert response.headers["idempotent-replayed"] == "true"
    assert '"type":"tool"' not in response.text
    assert "look_up" not in response.text
