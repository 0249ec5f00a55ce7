"""Tests a long conversation in each wire format: what is stored, and what the model receives.

Ten turns and more: a tool, a handoff, a widget's action, an approval, a retry, a cancelled answer,
structured input and a client tool. Each request is read as an API would read it.
"""

from typing import Any

import pytest
from support.app import Running, running_app
from support.model_requests import read, request_bytes

from chatkit_engine.context import RequestContext, User
from chatkit_engine.run.history import OMITTED
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.items import ToolCall
from chatkit_engine.store.threads import load_items_between
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import (
    Json,
    add,
    answer,
    create,
    events,
    op,
    text_of,
    thread_id,
)
from chatkit_engine.turns.requests import user_message_request

SHOP = '''
from pathlib import Path

from agents import Agent, RunContextWrapper, function_tool
from agents.tool_context import ToolContext
from chatkit.types import StructuredInputMultipleChoice, StructuredInputMultipleChoiceOption
from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_engine.assistant.agent_factory import AgentFactory
from chatkit_engine.builder import Builder
from chatkit_engine.assistant.actions import widget_action
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only

sent: list[str] = []


class Size(BaseModel):
    size: str


@read_only
@function_tool
def stock(ctx: RunContextWrapper[TurnContext], article: str) -> str:
    """Look into the stock."""
    return f"12 {article}"


@function_tool
async def show_sizes(ctx: RunContextWrapper[TurnContext]) -> str:
    """Show the sizes."""
    card = {"type": "Card", "children": [{"type": "Text", "value": "S or M"}]}
    await ctx.context.show(DynamicWidgetRoot.model_validate(card))
    return "The sizes are shown."


@widget_action("shop.size", Size)
async def choose_size(context: TurnContext, sender: WidgetItem | None, size: Size) -> None:
    await context.remember(f"The user chose size {size.size}.")
    context.let_model_answer()


@function_tool(needs_approval=True)
async def order(ctx: RunContextWrapper[TurnContext], article: str) -> str:
    """Order an article."""
    sent.append(article)
    return f"ordered {article}"


@function_tool
async def ask_colour(ctx: RunContextWrapper[TurnContext]) -> str:
    """Ask for the colour."""
    options = [StructuredInputMultipleChoiceOption(value=name) for name in ("red", "blue")]
    question = StructuredInputMultipleChoice(id="colour", question="Which?", options=options)
    return await ctx.context.ask(question)


@function_tool
async def basket(ctx: ToolContext[TurnContext]) -> str:
    """Ask the front end for the basket."""
    return ctx.context.call_client(ctx, "basket")


def advisor(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Advisor", "You advise.", handoff_description="advises")


def install(builder: Builder) -> None:
    builder.add_tools(stock, show_sizes, order, ask_colour, basket)
    builder.add_actions(choose_size)
    builder.add_specialist(advisor)
'''


@pytest.fixture
def shop(add_feature: AddFeature) -> Any:
    return add_feature("shop", SHOP)


class Conversation:
    """One thread, talked to over HTTP; the fake model answers each turn as scripted."""

    def __init__(self, app: Running, model_api: FakeModelApi) -> None:
        self._app = app
        self._api = model_api
        self.thread = ""
        self.shown: list[Json] = []

    async def turn(self, request: Json, *replies: Reply) -> list[Json]:
        self._api.script(*replies)
        response = await self._app.chatkit(request)
        assert response.status_code == 200, response.text
        self.shown = events(response.text)
        assert [event for event in self.shown if event["type"] == "error"] == []
        self.thread = self.thread or thread_id(self.shown)
        return self.shown

    async def say(self, text: str, *replies: Reply) -> list[Json]:
        request = add(self.thread, text) if self.thread else create(text)
        return await self.turn(request, *replies)

    async def act(self, item: Json, type_: str, payload: Json, *replies: Reply) -> list[Json]:
        action = {"type": type_, "payload": payload}
        params = {"thread_id": self.thread, "item_id": item["id"], "action": action}
        return await self.turn(op("threads.custom_action", **params), *replies)

    def last(self, kind: str) -> Json:
        items = [event["item"] for event in self.shown if "item" in event]
        return next(item for item in reversed(items) if item["type"] == kind)

    async def cut_off(self, text: str, reply: Reply) -> None:
        """Say something, and go away after the first words of the answer."""
        self._api.script(reply)
        service = self._app.chat_service
        user = RequestContext(user=User(id="local"))
        turn = await service.start(user_message_request(text, self.thread), user)
        async for chunk in turn.chunks(heartbeat_seconds=10):
            if b"text_delta" in chunk:
                break
        await turn.stop()

    async def items(self) -> list[Json]:
        request = op("items.list", thread_id=self.thread, order="asc", limit=100)
        return (await self._app.chatkit(request)).json()["data"]


async def _converse(conversation: Conversation) -> None:
    talk = conversation
    await talk.say("Shirts?", Reply(calls=[("stock", {"article": "shirts"})]), Reply("Twelve."))
    await talk.say("Advise me", Reply(calls=[("transfer_to_advisor", {})]), Reply("Take cotton."))
    await talk.say("Sizes?", Reply(calls=[("show_sizes", {})]), Reply("Choose one."))
    sizes = next(e["item"] for e in talk.shown if e.get("item", {}).get("type") == "widget")
    await talk.act(sizes, "shop.size", {"size": "M"}, Reply("M it is."))
    await talk.say("Order it", Reply(calls=[("order", {"article": "shirt"})]))
    asked = talk.last("widget")
    confirm = asked["widget"]["confirm"]["action"]
    await talk.act(asked, confirm["type"], confirm["payload"], Reply("Ordered."))
    await talk.say("And trousers", Reply(calls=[("ask_colour", {})]))
    given = {"status": "answered", "answers": {"colour": {"values": ["blue"]}}}
    item = talk.last("structured_input")["id"]
    params = {"thread_id": talk.thread, "item_id": item, "input": given}
    await talk.turn(op("threads.add_structured_input", **params), Reply("Blue then."))
    await talk.say("What is in my basket?", Reply(calls=[("basket", {})]))
    output = op("threads.add_client_tool_output", thread_id=talk.thread, result=["shirt"])
    await talk.turn(output, Reply("A shirt."))
    await talk.say("Tell me a story", Reply(calls=[("stock", {"article": "x"})]), Reply("No."))
    told = talk.shown[0]["item"]["id"]
    retry = op("threads.retry_after_item", thread_id=talk.thread, item_id=told)
    await talk.turn(retry, Reply("Once upon a time."))
    await talk.cut_off("A longer one", Reply("Long ago " * 20, word_seconds=0.05))
    await talk.say("Go on", Reply("The end."))


async def test_nothing_is_lost_orphaned_or_repeated(
    each_wire: Settings, model_api: FakeModelApi, shop: Any
) -> None:
    async with running_app(each_wire) as app:
        talk = Conversation(app, model_api)
        await _converse(talk)
        items = await talk.items()
        database = app.services.database
        stored = await database.read(load_items_between, talk.thread, 0, None, "local")

    for request in model_api.requests:
        read(request)
    calls = [item for item in stored if isinstance(item, ToolCall)]
    assert [(call.name, call.status) for call in calls] == [
        (name, "completed")
        for name in ("stock", "transfer_to_advisor", "show_sizes", "order", "ask_colour")
    ]
    assert shop.sent == ["shirt"]
    assert len({item.id for item in stored}) == len(stored)
    last = read(model_api.requests[-1])
    assert [each.text for each in last if each.kind == "call"] == [
        *("stock", "transfer_to_advisor", "show_sizes", "order", "ask_colour", "basket"),
    ]
    words = [each.text for each in last if each.kind in {"user", "assistant"}]
    told = " | ".join(words)
    for text in ("12 shirts", "ordered shirt"):
        assert text in [each.text for each in last if each.kind == "output"]
    for text in ("chose size M", "blue", "Once upon a time.", "Long", "cut off", "Go on"):
        assert text in told, text
    assert "No." not in words
    messages = [item for item in items if item["type"] == "user_message"]
    assert [text_of(item) for item in messages] == [
        *("Shirts?", "Advise me", "Sizes?", "Order it", "And trousers"),
        *("What is in my basket?", "Tell me a story", "A longer one", "Go on"),
    ]
    assert [text for text in words if text in {text_of(item) for item in messages}] == [
        text_of(item) for item in messages
    ]
    assert "hidden" not in str(items)


async def test_the_whole_conversation_stays_within_a_small_budget(
    each_wire: Settings, model_api: FakeModelApi, shop: Any
) -> None:
    """A budget of a thousand tokens holds the newest turns, whole ones, and the message itself."""
    settings = each_wire.model_copy(update={"history_max_tokens": 1_000})
    async with running_app(settings) as app:
        talk = Conversation(app, model_api)
        await talk.say("first " * 300, Reply("one"))
        await talk.say("Order", Reply(calls=[("stock", {"article": "a" * 900})]), Reply("two"))
        for number in range(10):
            await talk.say(f"{number} " + "word " * 100, Reply(f"answer {number}"))

    for request in model_api.requests[3:]:
        said = read(request)
        assert request_bytes(request) <= 4 * 1_000 * 1.2
        assert said[0].kind == "user"
    assert "first" not in read(model_api.requests[-1])[0].text
    assert [each for each in read(model_api.requests[-1]) if each.kind == "call"] == []
    newest = read(model_api.requests[-1])[-1].text
    assert newest.startswith("9 ")


async def test_a_turn_of_many_long_outputs_gives_the_model_the_newest(
    each_wire: Settings, model_api: FakeModelApi, shop: Any
) -> None:
    settings = each_wire.model_copy(update={"history_max_tokens": 1_000})
    articles = [f"{number}" * 900 for number in range(1, 8)]
    calls = [Reply(calls=[("stock", {"article": article})]) for article in articles]
    async with running_app(settings) as app:
        talk = Conversation(app, model_api)
        await talk.say("Count all", *calls, Reply("Done."))
        await talk.say("And now?", Reply("The same."))

    outputs = [each.text for each in read(model_api.requests[7]) if each.kind == "output"]
    assert outputs == [OMITTED] * 3 + [f"12 {article}" for article in articles[3:]]
    first = [each.text for each in read(model_api.requests[1]) if each.kind == "output"]
    assert first == [f"12 {articles[0]}"]


async def test_a_server_that_gives_every_call_the_same_id_confuses_nothing(
    each_wire: Settings, model_api: FakeModelApi, shop: Any
) -> None:
    async with running_app(each_wire) as app:
        talk = Conversation(app, model_api)
        for article in ("shirts", "hats"):
            again = Reply(calls=[("stock", {"article": article})], call_id="call_1")
            other = Reply(calls=[("show_sizes", {})], call_id="call_1")
            await talk.say(f"How many {article}?", again, other, Reply("Twelve."))

    for request in model_api.requests:
        read(request)
    last = [each.text for each in read(model_api.requests[-1]) if each.kind == "output"]
    shown = "The sizes are shown."
    assert last == ["12 shirts", shown, "12 hats", shown]


async def test_a_message_beyond_the_budget_is_refused_in_words(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    settings = each_wire.model_copy(update={"history_max_tokens": 1_000})
    async with running_app(settings) as app:
        refused = await app.chatkit(create("x" * 5_000))
        plain = await app.http.post("/api/chat", json={"message": "x" * 5_000})
        listed = await app.chatkit(op("threads.list"))

    assert refused.status_code == plain.status_code == 413
    assert "parts" in refused.json()["detail"]
    assert listed.json()["data"] == []
    assert model_api.requests == []


async def test_quoted_text_counts_for_the_budget(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    settings = each_wire.model_copy(update={"history_max_tokens": 1_000})
    quoting = create("What is this?")
    async with running_app(settings) as app:
        quoting["params"]["input"]["quoted_text"] = "x" * 5_000
        refused = await app.chatkit(quoting)
        quoting["params"]["input"]["quoted_text"] = "x" * 3_500
        thread = thread_id(await app.ask(quoting))
        await app.ask(add(thread, "word " * 200))

    assert refused.status_code == 413
    assert "xxx" in str(model_api.requests[0])
    assert "xxx" not in str(model_api.requests[1])


async def test_the_specialist_keeps_the_thread_until_it_hands_back(
    each_wire: Settings, model_api: FakeModelApi, shop: Any
) -> None:
    async with running_app(each_wire) as app:
        talk = Conversation(app, model_api)
        await talk.say("Advise me", Reply(calls=[("transfer_to_advisor", {})]), Reply("Cotton."))
        await talk.say("More", Reply("Wool."))
        await talk.say("Thanks", Reply(calls=[("transfer_to_assistant", {})]), Reply("Welcome."))
        shown = await talk.say("Hello", Reply("Hello."))

    advised = ["You advise." in str(request) for request in model_api.requests]
    assert advised == [False, True, True, True, False, False]
    assert answer(shown).strip() == "Hello."
