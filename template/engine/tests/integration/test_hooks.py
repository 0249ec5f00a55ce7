"""The hooks that the README only names: the assistant itself, a user of another class, wrapping."""

from typing import Any

import pytest
from support.app import SAMPLE, running_app

from chatkit_engine.models.registry import create_model
from chatkit_engine.settings.base import SetupError
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing import AddFeature, FakeModelApi, Reply, create, run_command

TUTOR = """
from chatkit_engine import AgentFactory, Builder, brief


def create(factory: AgentFactory):
    return factory.agent("Tutor", brief("You are the tutor."), tools=[])


def install(builder: Builder) -> None:
    builder.set_assistant(create)
"""

MEMBERS = """
from chatkit_engine import Builder, TurnContext, User


class Member(User):
    plan: str


class Members:
    async def authenticate(self, request, media_types):
        return Member(id="ada", plan="gold")


async def instructions(context: TurnContext) -> str:
    assert isinstance(context.user, Member)
    return f"The user pays for {context.user.plan}."


def install(builder: Builder) -> None:
    builder.set_authenticator(Members())
    builder.set_instructions(instructions)
"""

WRAPPED = """
from dataclasses import replace

from chatkit_engine import Builder, create_model

closed = []


def create(settings):
    model = create_model(settings)

    async def close() -> None:
        closed.append(model.name)
        await model.close()

    return replace(model, close=close, problem=lambda: "slow today")


def install(builder: Builder) -> None:
    builder.set_model(create)
"""


async def test_the_assistant_itself_can_be_another(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("tutor", TUTOR)

    async with running_app(with_model) as app:
        await app.ask(create("Hello"))

    assert model_api.instructions().startswith("You are the tutor.")
    assert "current_time" not in model_api.offered_tools()


async def test_a_user_of_the_applications_own_class_reaches_the_instructions(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    add_feature("members", MEMBERS)

    async with running_app(with_model) as app:
        await app.ask(create("Hello"))

    assert model_api.instructions().startswith("The user pays for gold.")


async def test_the_model_of_the_settings_can_be_wrapped(
    with_model: Settings, model_api: FakeModelApi, add_feature: AddFeature
) -> None:
    wrapped: Any = add_feature("wrapped", WRAPPED)
    model_api.script(Reply("Hello Ada"))

    async with running_app(with_model) as app:
        answered = await app.chat("I am Ada")
        ready = (await app.http.get("/health/ready")).json()

    assert answered["message"].strip() == "Hello Ada"
    assert {"name": "model", "ok": True, "detail": "slow today"} in ready["checks"]
    assert wrapped.closed == ["fake"]


@pytest.mark.parametrize(
    ("values", "hook"),
    [({"auth_mode": "app"}, "set_authenticator"), ({"llm_provider": "app"}, "set_model")],
)
async def test_settings_that_rely_on_a_hook_stop_the_start_without_it(
    settings: Settings, values: dict[str, str], hook: str
) -> None:
    with pytest.raises(SetupError, match=hook):
        async with running_app(settings.model_copy(update=values)):
            pass


def test_the_engine_has_no_model_for_the_applications_provider(settings: Settings) -> None:
    with pytest.raises(SetupError, match="set LLM_PROVIDER to the provider"):
        create_model(settings.model_copy(update={"llm_provider": "app"}))


def test_doctor_names_the_applications_own_login(add_feature: AddFeature) -> None:
    add_feature("members", MEMBERS)

    result = run_command("doctor", app=SAMPLE, AUTH_MODE="app")

    assert "authentication: the application's Members" in result.stdout
    assert result.exit_code == 0
