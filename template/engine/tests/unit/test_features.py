"""A user's own feature is one new folder."""

from pathlib import Path
from typing import cast

import pytest
from support.app import SAMPLE, running_app
from typer import Typer
from typer.testing import CliRunner

from chatkit_engine.assistant.attachments import Attachments
from chatkit_engine.builder import Builder
from chatkit_engine.cli.commands import create_cli
from chatkit_engine.discovery import feature_modules
from chatkit_engine.security.links import Links
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.connect import open_database
from chatkit_engine.testing.features import AddFeature

GREETER = '''
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agents import function_tool
from fastapi import APIRouter

from chatkit_engine.builder import Builder
from chatkit_engine.observability.health import HealthStatus
from chatkit_engine.http.dependencies import CurrentUser

log: list[str] = []
router = APIRouter()


@router.get("/api/greeting")
async def greet(user: CurrentUser) -> str:
    return f"Hello {user.id}"


@function_tool
def greet_user(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


@asynccontextmanager
async def held() -> AsyncGenerator[None]:
    log.append("opened")
    yield
    log.append("closed")


async def greeter() -> HealthStatus:
    return HealthStatus(name="greeter", ok=False, detail="no voice")


async def broken() -> HealthStatus:
    raise RuntimeError("with details")


def install(builder: Builder) -> None:
    builder.add_router(router)
    builder.add_tools(greet_user)
    builder.add_resource(held)
    builder.add_health_check(greeter)
    builder.add_health_check(broken)
'''


async def test_it_brings_routes_tools_resources_and_health_checks(
    settings: Settings, add_feature: AddFeature
) -> None:
    module = add_feature("greeter", GREETER)

    async with running_app(settings) as app:
        greeting = await app.http.get("/api/greeting")
        chat = await app.http.post("/api/chat", json={"message": "greet: Ada"})
        ready = await app.http.get("/health/ready")
        assert module.log == ["opened"]

    assert greeting.json() == "Hello local"
    assert "Hello Ada" in chat.json()["message"]
    assert ready.status_code == 503
    failed = {check["name"]: check["detail"] for check in ready.json()["checks"] if not check["ok"]}
    assert failed == {"greeter": "no voice", "broken": "failed; the log says why"}
    assert module.log == ["opened", "closed"]


async def test_one_feature_alone_gives_messages_attachments(settings: Settings) -> None:
    builder = Builder("sample", settings, open_database(settings), Blobs(settings), Links(settings))
    attachments = cast(Attachments, object())
    builder.set_attachments(attachments)

    with pytest.raises(ValueError, match="two features"):
        builder.set_attachments(attachments)

    assert builder.attachments is attachments
    await builder.database.aclose()


COMMANDS = """
import typer

commands = typer.Typer()


@commands.command()
def greet(name: str) -> None:
    \"\"\"Greet somebody.\"\"\"
    typer.echo(f"Hello {name}")


@commands.command()
def wave() -> None:
    \"\"\"Wave.\"\"\"
"""


def test_its_commands_are_found(add_feature: AddFeature, tmp_path: Path) -> None:
    add_feature("greeter", "def install(builder):\n    pass\n")
    (tmp_path / "features" / "greeter" / "commands.py").write_text(COMMANDS)

    commands = feature_modules(SAMPLE, "commands")["greeter"].commands

    assert _names(commands) == ["greet", "wave"]
    assert CliRunner().invoke(create_cli(SAMPLE), ["greet", "Ada"]).stdout == "Hello Ada\n"


def _names(commands: Typer) -> list[str]:
    return [str(each.callback and each.callback.__name__) for each in commands.registered_commands]


ERASER = """
erased = []


async def forget(user_id):
    erased.append(user_id)
    if len(erased) == 1:
        raise AppError("The archive does not answer. Try again.")


def install(builder):
    builder.add_eraser(forget)
"""


async def test_external_data_is_erased_first_or_nothing_is(
    settings: Settings, add_feature: AddFeature
) -> None:
    archive = add_feature(
        "archive", "from chatkit_engine.errors import Unavailable as AppError\n" + ERASER
    )

    async with running_app(settings) as app:
        await app.http.post("/api/chat", json={"message": "Hello"})
        refused = await app.http.delete("/api/me/data")
        kept = await app.http.get("/api/threads")
        erased = await app.http.delete("/api/me/data")

    assert refused.status_code == 503
    assert len(kept.json()["data"]) == 1
    assert erased.json()["threads"] == 1
    assert archive.erased == ["local", "local"]


async def test_a_feature_that_cannot_be_installed_stops_the_start(
    settings: Settings, add_feature: AddFeature
) -> None:
    add_feature("broken", "def install(builder):\n    raise RuntimeError('no')\n")

    with pytest.raises(RuntimeError):
        async with running_app(settings):
            pass
