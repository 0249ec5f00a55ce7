"""No way out of the server lets an unsafe URL through: streams, stored items, `/api/chat`."""

from typing import Any

import pytest
from support.app import Running, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, create, events_of, items_of, op, thread_id

GOOD = "https://book.example/page"
BAD = ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//bad.example")
SHOWN = '''
from agents import RunContextWrapper, function_tool
from agents.tool_context import ToolContext
from chatkit.types import CustomTask, SearchTask, URLSource
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.entities import Entity
from chatkit_engine.builder import Builder

BAD = "javascript:alert(1)"


class Found(BaseModel):
    url: str


@function_tool
async def show(ctx: RunContextWrapper[TurnContext]) -> Found:
    """Show something."""
    context = ctx.context
    card = {"type": "Card", "children": [{"type": "Image", "src": BAD, "alt": "A picture"}]}
    await context.show(DynamicWidgetRoot.model_validate(card))
    await context.effect("open", url=BAD, title="A page")
    task = SearchTask(title="Search", sources=[URLSource(title="A page", url=BAD)])
    await context.add_workflow_task(task)
    context.cite(URLSource(title="A page", url=BAD))
    return Found(url=BAD)


@function_tool
async def call_front_end(ctx: ToolContext[TurnContext]) -> str:
    """Call the front end."""
    return ctx.context.call_client(ctx, "open_it", url=BAD, reason="A page")


class Bookmarks:
    kind = "mark"

    async def search(self, user, query, limit):
        return [Entity(id="mark_1", title="A page", data={"url": BAD})]

    async def load(self, user, entity_id):
        return Entity(id="mark_1", title="A page", data={"url": BAD})

    async def describe(self, user, entity):
        return "A page"


def install(builder: Builder) -> None:
    builder.add_tools(show, call_front_end)
    builder.add_entities(Bookmarks())
'''


def _citation(url: str) -> Json:
    return {
        "type": "url_citation",
        "url": url,
        "title": "A page",
        "start_index": 0,
        "end_index": 4,
    }


async def test_the_models_citations_have_safe_urls(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    urls = [BAD[0], GOOD, *BAD[1:], GOOD]
    model_api.script(Reply("It says so", annotations=[_citation(url) for url in urls]))

    streamed = await app_with_model.ask(create("What does it say?"))
    stored = (await app_with_model.items(thread_id(streamed)))[-1]

    [message] = items_of(streamed, "assistant_message")
    for item in (message, stored):
        [part] = item["content"]
        assert part["text"].strip() == "It says so"
        assert [each["source"]["url"] for each in part["annotations"]] == [GOOD, GOOD]
    updates = [event["update"] for event in events_of(streamed, "thread.item.updated")]
    added = [each["annotation_index"] for each in updates if "annotation" in each]
    assert added == [0, 1]
    assert not any(bad in str(streamed) for bad in BAD)


async def test_what_tools_show_has_safe_urls(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("shown", SHOWN)
    async with running_app(with_model) as app:
        model_api.script(Reply(calls=[("show", {})]), Reply("See [1] here"))
        streamed = await app.ask(create("Show it"))
        thread = thread_id(streamed)
        model_api.script(Reply(calls=[("show", {})]), Reply("See [1] here"))
        plain = await app.http.post("/api/chat", json={"message": "Show it", "stream": True})
        model_api.script(Reply(calls=[("call_front_end", {})]))
        called = await app.ask(create("Call it"))
        listed = await app.chatkit(op("items.list", thread_id=thread, limit=20))
        found = await app.http.get("/api/entities")
        kept = await app.http.get(f"/api/threads/{thread}")

    assert items_of(streamed, "widget")[0]["widget"]["children"][0]["alt"] == "A picture"
    assert events_of(streamed, "client_effect")[0]["data"] == {"url": "", "title": "A page"}
    assert items_of(called, "client_tool_call")[0]["arguments"]["reason"] == "A page"
    outs: list[Any] = [streamed, called, plain.text, listed.text, found.text, kept.text]
    assert not any("javascript:" in str(out) for out in outs)
    assert "A page" in found.text
    assert "See [1] here" in listed.text


@pytest.mark.parametrize("bad", BAD)
async def test_an_unsafe_url_that_was_stored_before_is_dropped_when_it_is_read(
    app_with_model: Running, model_api: FakeModelApi, bad: str
) -> None:
    model_api.script(Reply("It says so", annotations=[_citation(GOOD)]))
    thread = thread_id(await app_with_model.ask(create("What does it say?")))
    await app_with_model.services.database.write(_replace, GOOD, bad)

    [_question, item] = await app_with_model.items(thread)

    assert item["content"][0]["annotations"] == []
    assert "It says so" in item["content"][0]["text"]


def _replace(connection: Any, good: str, bad: str) -> None:
    connection.exec_driver_sql("UPDATE items SET data = replace(data, ?, ?)", (good, bad))
