"""Guardrails: those of the settings, and one of the project's own."""

import pytest

from chatkit_engine import Settings
from chatkit_engine.testing import (
    AddFeature,
    FakeModelApi,
    Reply,
    create,
    events_of,
    running_app,
)

OWN = """
def no_shouting(context, text):
    return "Please do not shout." if text.isupper() else None


def install(builder):
    builder.add_input_guardrail(no_shouting)
"""


@pytest.fixture
def guarded(with_model: Settings) -> Settings:
    rules = {"blocked_input": [r"pin is \d{4}"], "blocked_output": ["the password"]}
    return with_model.model_copy(update=rules)


async def test_a_blocked_message_is_refused_and_never_reaches_the_model(
    guarded: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(guarded) as app:
        streamed = await app.ask(create("My PIN is 1234"))

    assert model_api.requests == []
    assert "I cannot help with this message." in str(streamed[-1])


async def test_a_blocked_answer_is_taken_back(guarded: Settings, model_api: FakeModelApi) -> None:
    model_api.script(Reply("Well, the password is tulip"))

    async with running_app(guarded) as app:
        streamed = await app.ask(create("Tell me"))

    assert len(events_of(streamed, "thread.item.removed")) == 1
    assert "cannot show" in str(streamed[-1])


async def test_a_guardrail_of_your_own_is_a_function(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("manners", OWN)

    async with running_app(with_model) as app:
        refused = await app.chat("WHERE IS IT")
        answered = await app.chat("Where is it?")

    assert refused["message"] == "Please do not shout."
    assert answered["message"].strip() == "echo: Where is it?"
    assert len(model_api.requests) == 1
