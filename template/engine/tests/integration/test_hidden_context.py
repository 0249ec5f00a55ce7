"""Hidden context is for the model only: no client can read it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from support.app import Running, running_app
from support.cli import cli
from support.store import open_store
from typer.testing import CliRunner

from chatkit_engine.settings.core import Settings
from chatkit_engine.store import threads
from chatkit_engine.store.items import is_hidden
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, add, create, events, items_of, op, thread_id

SECRET = "hush-hush"

WHISPERER = '''
from datetime import UTC, datetime

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
    WidgetRootUpdated,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.actions import sync_action, widget_action
from chatkit_engine.assistant.context import TurnContext

WIDGET = DynamicWidgetRoot.model_validate({"type": "Card", "children": []})


def _hidden(context: TurnContext, item_id: str, text: str) -> HiddenContextItem:
    now = datetime.now(UTC)
    return HiddenContextItem(
        id=item_id, thread_id=context.thread.id, created_at=now, content=f"hush-hush {text}"
    )


async def _whisper(context: TurnContext) -> None:
    await context.show(WIDGET)
    await context.remember("hush-hush remembered")
    first, second = _hidden(context, "hid_1", "added"), _hidden(context, "hid_2", "replaced")
    update = WidgetRootUpdated(widget=WIDGET.model_copy(update={"key": "hush-hush updated"}))
    await context.stream(ThreadItemAddedEvent(item=first))
    await context.stream(ThreadItemUpdatedEvent(item_id="hid_1", update=update))
    await context.stream(ThreadItemDoneEvent(item=first))
    await context.stream(ThreadItemDoneEvent(item=second))
    await context.stream(ThreadItemReplacedEvent(item=second))
    await context.stream(ThreadItemAddedEvent(item=_hidden(context, "hid_3", "removed")))
    await context.stream(ThreadItemRemovedEvent(item_id="hid_3"))


@function_tool
async def whisper(ctx: RunContextWrapper[TurnContext]) -> str:
    """Tell the model something."""
    await _whisper(ctx.context)
    return "done"


class Nothing(BaseModel):
    pass


@widget_action("whisper", Nothing)
async def streamed(context: TurnContext, sender: WidgetItem | None, payload: Nothing) -> None:
    await _whisper(context)


@sync_action("whisper", Nothing)
async def at_once(
    context: TurnContext, sender: WidgetItem | None, payload: Nothing
) -> HiddenContextItem:
    return _hidden(context, "hid_sync", "in a sync action")


def install(builder: Builder) -> None:
    builder.add_tools(whisper)
    builder.add_actions(streamed, at_once)
'''


@pytest.fixture
async def app(
    file_settings: Settings, with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> AsyncGenerator[Running]:
    add_feature("whisperer", WHISPERER)
    values = with_model.model_dump() | {"database_url": file_settings.database_url}
    model_api.script(Reply(calls=[("whisper", {})]), Reply("I know"))
    async with running_app(Settings.model_validate(values)) as running:
        yield running


def _action(kind: str, thread: str, item: str | None = None) -> Json:
    params: dict[str, Any] = {"thread_id": thread, "action": {"type": "whisper", "payload": {}}}
    return op(kind, item_id=item, **params)


def _check(*seen: object) -> None:
    for each in seen:
        text = each if isinstance(each, str) else json.dumps(each)
        assert "thr_" in text
        assert SECRET not in text
        assert '"hid_' not in text
        assert "hidden" not in text


async def test_no_event_of_a_turn_shows_it_and_no_page(
    app: Running, model_api: FakeModelApi
) -> None:
    streamed = await app.ask(create("Psst"))
    thread = thread_id(streamed)
    acted = await app.ask(_action("threads.custom_action", thread))
    await app.ask(add(thread, "And?"))

    read = await app.chatkit(op("threads.get_by_id", thread_id=thread))
    listed = await app.chatkit(op("threads.list"))
    _check(streamed, acted, read.text, listed.text, await app.items(thread))
    for path in ("", "/items"):
        _check((await app.http.get(f"/api/threads/{thread}{path}")).text)
    told = "\n".join(model_api.texts())
    assert told.count(f"{SECRET} remembered") == 2
    assert told.count(f"{SECRET} replaced") == 1
    assert f"{SECRET} removed" not in told


async def test_a_sync_action_that_returns_it_answers_with_nothing(app: Running) -> None:
    streamed = await app.ask(create("Psst"))
    [widget] = items_of(streamed, "widget")

    answered = await app.chatkit(
        _action("threads.sync_custom_action", thread_id(streamed), widget["id"])
    )

    assert answered.json() == {}


async def test_a_repeated_request_does_not_show_it(app: Running) -> None:
    key = {"Idempotency-Key": "one"}
    first = await app.http.post("/chatkit", json=create("Psst"), headers=key)

    again = await app.http.post("/chatkit", json=create("Psst"), headers=key)

    assert again.headers["idempotent-replayed"] == "true"
    assert items_of(events(again.text), "widget") == items_of(events(first.text), "widget")
    _check(first.text, again.text)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_plain_chat_does_not_show_it(app: Running, stream: bool) -> None:
    answered = await app.http.post("/api/chat", json={"message": "Psst", "stream": stream})

    assert "know" in answered.text
    _check(answered.text)


async def test_the_users_export_leaves_it_out_and_the_operators_has_it(
    app: Running, file_settings: Settings
) -> None:
    await app.ask(create("Psst"))

    own = (await app.http.get("/api/me/data")).text

    _check(own)
    assert "whisper" in own
    environment = {"DATABASE_URL": file_settings.database_url}
    command = ["export", "--user", "local"]
    exported = await asyncio.to_thread(CliRunner().invoke, cli, command, env=environment)
    assert exported.exit_code == 0
    assert f"{SECRET} remembered" in exported.output


async def test_it_takes_no_feedback(app: Running, file_settings: Settings) -> None:
    thread = thread_id(await app.ask(create("Psst")))
    async with open_store(file_settings) as store:
        past = await store.database.read(threads.load_history_page, thread, None, 50, "local")
    hidden = [item for item in past.items if is_hidden(item)]
    assert {item.type for item in hidden} == {"hidden_context_item", "tool_call"}

    for item in hidden:
        judged = op("items.feedback", thread_id=thread, item_ids=[item.id], kind="positive")
        assert (await app.chatkit(judged)).status_code == 404
