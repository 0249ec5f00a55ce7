"""Threads that a tool locks or closes, and the domains that images in a thread may come from."""

from collections.abc import AsyncGenerator

import pytest
from support.app import Running, make_settings, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, create, items_of, op, thread_id

JANITOR = '''
from agents import RunContextWrapper, function_tool
from agents.tool_context import ToolContext
from chatkit.types import ClosedStatus, LockedStatus, StructuredInputFreeform, WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.actions import sync_action, widget_action
from chatkit_engine.assistant.context import TurnContext

WIDGET = DynamicWidgetRoot.model_validate({"type": "Card", "children": []})


class Nothing(BaseModel):
    pass


@function_tool
async def lock(ctx: RunContextWrapper[TurnContext]) -> str:
    """Lock the thread."""
    await ctx.context.show(WIDGET)
    ctx.context.thread.status = LockedStatus(reason="a person takes over")
    return "locked"


@function_tool
async def close(ctx: RunContextWrapper[TurnContext]) -> str:
    """Close the thread."""
    await ctx.context.show(WIDGET)
    ctx.context.thread.status = ClosedStatus(reason="solved")
    return "closed"


@function_tool
async def lock_and_ask(ctx: RunContextWrapper[TurnContext]) -> str:
    """Lock the thread, and ask."""
    ctx.context.thread.status = LockedStatus(reason="later")
    return await ctx.context.ask(StructuredInputFreeform(id="q1", question="Why?"))


@function_tool
async def lock_and_call(ctx: ToolContext[TurnContext]) -> str:
    """Lock the thread, and call the front end."""
    ctx.context.thread.status = LockedStatus(reason="later")
    return ctx.context.call_client(ctx, "read_page")


@widget_action("press", Nothing)
async def press(context: TurnContext, sender: WidgetItem | None, payload: Nothing) -> None:
    pass


@sync_action("press", Nothing)
async def tick(context: TurnContext, sender: WidgetItem | None, payload: Nothing) -> None:
    pass


def install(builder: Builder) -> None:
    builder.add_tools(lock, close, lock_and_ask, lock_and_call)
    builder.add_actions(press, tick)
'''


@pytest.fixture
async def app(with_model: Settings, add_feature: AddFeature) -> AsyncGenerator[Running]:
    add_feature("janitor", JANITOR)
    async with running_app(with_model) as running:
        yield running


def _turns(thread: str, message: str, widget: str) -> list[Json]:
    action: Json = {"type": "press", "payload": {}}
    return [
        add(thread, "Still there?"),
        op("threads.retry_after_item", thread_id=thread, item_id=message),
        op("threads.custom_action", thread_id=thread, item_id=widget, action=action),
        op("threads.sync_custom_action", thread_id=thread, item_id=widget, action=action),
    ]


@pytest.mark.parametrize(
    ("tool", "status"),
    [
        ("lock", {"type": "locked", "reason": "a person takes over"}),
        ("close", {"type": "closed", "reason": "solved"}),
    ],
)
async def test_a_tool_ends_a_thread_which_then_takes_no_turn_and_stays_readable(
    app: Running, model_api: FakeModelApi, tool: str, status: Json
) -> None:
    model_api.script(Reply(calls=[(tool, {})]), Reply("Goodbye"))
    streamed = await app.ask(create("Enough"))
    thread = thread_id(streamed)
    message, widget, answer = await app.items(thread)

    updated = [event["thread"] for event in streamed if event["type"] == "thread.updated"]
    assert [each["status"] for each in updated] == [status]
    for request in _turns(thread, message["id"], widget["id"]):
        refused = await app.chatkit(request)
        assert refused.status_code == 409, request["type"]
        assert status["type"] in refused.json()["detail"]
        assert status["reason"] in refused.json()["detail"]
    assert await app.items(thread) == [message, widget, answer]
    assert len(model_api.requests) == 2

    judged = op("items.feedback", thread_id=thread, item_ids=[answer["id"]], kind="negative")
    renamed = await app.chatkit(op("threads.update", thread_id=thread, title="Done"))
    read = await app.chatkit(op("threads.get_by_id", thread_id=thread))
    assert (await app.chatkit(judged)).status_code == 200
    assert (renamed.json()["title"], renamed.json()["status"]) == ("Done", status)
    assert read.json()["status"] == status
    assert (await app.chatkit(op("threads.delete", thread_id=thread))).status_code == 200


@pytest.mark.parametrize(
    ("tool", "answer"),
    [
        ("lock_and_ask", {"input": {"status": "skipped", "answers": {}}}),
        ("lock_and_call", {"result": {"title": "", "text": ""}}),
    ],
)
async def test_questions_in_a_locked_thread_cannot_be_answered(
    app: Running, model_api: FakeModelApi, tool: str, answer: Json
) -> None:
    model_api.script(Reply(calls=[(tool, {})]))
    thread = thread_id(await app.ask(create("Enough")))
    waiting = (await app.items(thread))[-1]
    kind = "structured_input" if "input" in answer else "client_tool_output"

    refused = await app.chatkit(
        op(f"threads.add_{kind}", thread_id=thread, item_id=waiting["id"], **answer)
    )

    assert refused.status_code == 409
    assert "later" in refused.json()["detail"]
    assert (await app.items(thread))[-1] == waiting


async def test_a_new_thread_names_the_domains_for_images_from_its_first_event(
    with_model: Settings,
) -> None:
    values = with_model.model_dump() | {"allowed_image_domains": "img.example.com, localhost"}
    async with running_app(Settings.model_validate(values)) as app:
        streamed = await app.ask(create("Hello"))
        read = await app.chatkit(op("threads.get_by_id", thread_id=thread_id(streamed)))
        again = await app.ask(add(thread_id(streamed), "Hello again"))

    domains = ["img.example.com", "localhost"]
    assert streamed[0]["thread"]["allowed_image_domains"] == domains
    assert read.json()["allowed_image_domains"] == domains
    assert streamed[0]["thread"]["created_at"] == read.json()["created_at"]
    assert items_of(again, "assistant_message")
    assert "thread.updated" not in [event["type"] for event in streamed + again]


async def test_without_domains_chatkit_decides(app_with_model: Running) -> None:
    streamed = await app_with_model.ask(create("Hello"))

    assert "allowed_image_domains" not in streamed[0]["thread"]


@pytest.mark.parametrize("domains", ["https://img.example.com", "*", "img.example.com/path", "a b"])
def test_an_invalid_domain_is_refused_at_the_start(domains: str) -> None:
    with pytest.raises(ValueError, match="not a domain"):
        make_settings(allowed_image_domains=domains)
