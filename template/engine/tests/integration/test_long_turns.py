"""Tests turns that go on without a user's message: what the model receives, and what is read."""

from support.app import Running, running_app
from support.model_requests import read, request_bytes
from support.store import ADA, THREAD, make_item, make_thread

from chatkit_engine.run.turn_store import MAX_TURN_BYTES, Opening, TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.leases import Lease
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import add, create, op, thread_id

MEBIBYTE = 1024 * 1024
BUDGET = 4_000
SHOP = '''
from agents import function_tool
from agents.tool_context import ToolContext
from chatkit.types import WidgetItem
from pydantic import BaseModel

from chatkit_engine.assistant.actions import widget_action
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only
from chatkit_engine.builder import Builder


class Size(BaseModel):
    size: str


@widget_action("shop.size", Size)
async def choose_size(context: TurnContext, sender: WidgetItem | None, size: Size) -> None:
    await context.remember(f"The user chose size {size.size}.")
    context.let_model_answer()


@read_only
@function_tool
async def basket(ctx: ToolContext[TurnContext], pages: str) -> str:
    """Ask the front end for the basket."""
    return ctx.context.call_client(ctx, "basket", pages=pages)


def install(builder: Builder) -> None:
    builder.add_tools(basket)
    builder.add_actions(choose_size)
'''


def _small(settings: Settings) -> Settings:
    return settings.model_copy(update={"history_max_tokens": BUDGET})


def _size(number: int, length: int) -> str:
    return f"{number:03}" + "q" * length


async def _choose(app: Running, thread: str, size: str) -> None:
    action = {"type": "shop.size", "payload": {"size": size}}
    await app.ask(op("threads.custom_action", thread_id=thread, item_id=None, action=action))


async def test_one_action_after_the_other_stays_within_the_budget(
    each_wire: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("shop", SHOP)
    async with running_app(_small(each_wire)) as app:
        thread = thread_id(await app.ask(create("Which sizes?")))
        for number in range(12):
            await _choose(app, thread, _size(number, 3_000))

    request = model_api.requests[-1]
    read(request)
    assert request_bytes(request) < BUDGET * 4 * 1.2
    assert model_api.texts()[0] == "Which sizes?"
    assert _size(11, 100) in str(request)
    assert _size(0, 100) not in str(request)


async def test_an_action_that_is_larger_than_the_budget_is_read_alone(
    each_wire: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("shop", SHOP)
    async with running_app(_small(each_wire)) as app:
        thread = thread_id(await app.ask(create("Which sizes?")))
        for number in range(3):
            await _choose(app, thread, _size(number, 20_000))

    request = model_api.requests[-1]
    read(request)
    assert _size(2, 100) in str(request)
    assert _size(1, 100) not in str(request)


async def test_client_tools_one_after_the_other_stay_within_the_budget(
    each_wire: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("shop", SHOP)
    model_api.default = Reply(calls=[("basket", {"pages": "p" * 1_000})])
    async with running_app(_small(each_wire)) as app:
        thread = thread_id(await app.ask(create("What is in my basket?")))
        for number in range(20):
            output = [_size(number, 1_000)]
            await app.ask(op("threads.add_client_tool_output", thread_id=thread, result=output))
        model_api.default = None
        await app.ask(add(thread, "Thank you"))

    request = model_api.requests[-2]
    calls = [each for each in read(request) if each.kind == "call"]
    assert 0 < len(calls) < 18
    assert request_bytes(request) < BUDGET * 4 * 2
    assert model_api.texts(-2)[0] == "What is in my basket?"
    assert _size(19, 100) in str(request)


async def test_no_more_than_the_limit_is_read_of_a_turn(store: SqlStore) -> None:
    await store.save_thread(make_thread(), ADA)
    for number in range(16):
        await store.add_thread_item(THREAD, make_item(f"msg_{number}", "x" * MEBIBYTE), ADA)
    turn = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    await turn.begin(ProcessLock(None), Opening())

    seen = [item.id async for item in turn.history()]

    assert seen[:2] == ["msg_15", "msg_14"]
    assert MAX_TURN_BYTES // MEBIBYTE <= len(seen) <= MAX_TURN_BYTES // MEBIBYTE + 5
