"""An action of a widget that raises: the user gets an error, and the thread goes on."""

from collections.abc import AsyncGenerator

import pytest
from support.app import Running, running_app

from chatkit_engine.assistant.failures import ACTION_FAILED
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import Json, create, events, op, thread_id

BREAKER = """
from chatkit.types import WidgetItem
from pydantic import BaseModel

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.actions import widget_action
from chatkit_engine.assistant.context import TurnContext


class Nothing(BaseModel):
    pass


@widget_action("break", Nothing)
async def break_(context: TurnContext, sender: WidgetItem | None, payload: Nothing) -> None:
    raise RuntimeError("the password is swordfish")


def install(builder: Builder) -> None:
    builder.add_actions(break_)
"""


@pytest.fixture
async def app(settings: Settings, add_feature: AddFeature) -> AsyncGenerator[Running]:
    add_feature("breaker", BREAKER)
    async with running_app(settings) as running:
        yield running


async def test_the_user_is_told_that_the_action_failed_and_goes_on(app: Running) -> None:
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))
    action: Json = {"type": "break", "payload": {}}

    response = await app.chatkit(op("threads.custom_action", thread_id=thread, action=action))

    told = [event["message"] for event in events(response.text) if event["type"] == "error"]
    assert told == [ACTION_FAILED]
    assert "swordfish" not in response.text
    again = await app.chatkit(create("Hello"))
    assert "You said: Hello" in again.text
