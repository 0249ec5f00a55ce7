"""Every example in the README runs, and it lists all public names."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from support.app import ROOT

from chatkit_engine import Builder, Settings
from chatkit_engine.discovery import settings_class
from chatkit_engine.testing import (
    FakeModelApi,
    Json,
    Reply,
    Running,
    add,
    answer,
    bearer,
    create,
    eventually,
    run_command,
    running_app,
    thread_id,
    with_jwt,
)
from chatkit_engine.testing.public_names import NAMES
from chatkit_engine.turns import sweeper

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"```python\n# (?P<file>\S+)\n(?P<source>.*?)```", re.DOTALL)
APP = "readme_app"

Write = Callable[[str], None]


def _section(title: str) -> str:
    """Return the README's text below a heading, up to the next heading."""
    below = README.partition(f"# {title}\n")[2]
    assert below, f"the README has no section '{title}'"
    return re.split(r"^##", below, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the examples of a section as an application's package, with nothing else in it."""
    package = tmp_path / APP
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write_section(title: str) -> None:
        for block in BLOCK.finditer(_section(title)):
            file = package / block["file"].removeprefix("app/")
            for folder in (file.parent, *file.parent.parents):
                if folder.is_relative_to(package):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / "__init__.py").touch()
            source = block["source"].replace("from app.", f"from {APP}.")
            file.write_text(source.replace('app="app"', f'app="{APP}"'))

    yield write_section
    for name in [*sys.modules]:
        if name == APP or name.startswith(f"{APP}."):
            del sys.modules[name]


async def _ask(
    app: Running, message: str, headers: dict[str, str] | None = None, **metadata: Any
) -> list[Json]:
    return await app.ask(create(message, metadata), headers)


def test_create_app_makes_an_application(write: Write) -> None:
    write("chatkit-engine")

    assert import_module(f"{APP}.main").app.title == Settings().project_name


async def test_instructions_depend_on_the_user(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("Instructions")
    settings = with_jwt(with_model)

    async with running_app(settings, app=APP) as app:
        await _ask(app, "Help", bearer(settings, "ada"))
        await _ask(app, "Help", bearer(settings, "eve"))

    assert model_api.instructions(0).startswith("You help a teacher")
    assert model_api.instructions(1).startswith("You help a student")


def _sign_in(connection: Connection) -> None:
    connection.execute(
        text("CREATE TABLE site_sessions (id TEXT, user_id TEXT NOT NULL, expires_at FLOAT)")
    )
    values = "('fresh', 'ada', 9e9), ('stale', 'ada', 1)"
    connection.execute(text(f"INSERT INTO site_sessions VALUES {values}"))  # noqa: S608


async def test_an_authenticator_can_look_up_a_cookie_in_the_database(
    write: Write, settings: Settings
) -> None:
    write("Login")
    production = {
        "environment": "production",
        "auth_mode": "app",
        "openai_api_key": "sk-test",
        "public_url": "https://chat.example.com",
    }
    settings = Settings.model_validate(settings.model_dump() | production)

    async with running_app(settings, app=APP) as app:
        await app.services.database.write(_sign_in)
        cookies = {"Cookie": "session=fresh"}
        signed_in = await app.http.get("/api/threads", headers=cookies)
        statuses = [
            (await app.http.get("/api/threads", headers=headers)).status_code
            for headers in (
                {},
                {"Cookie": "session=stale"},
                {"Cookie": "session=other"},
                cookies | {"Sec-Fetch-Site": "cross-site"},
            )
        ]

    assert signed_in.status_code == 200
    assert statuses == [401, 401, 401, 403]


async def test_a_model_of_another_kind_answers(write: Write, settings: Settings) -> None:
    write("Model")
    settings = Settings.model_validate(settings.model_dump() | {"llm_provider": "app"})

    async with running_app(settings, app=APP) as app:
        streamed = await _ask(app, "Hello")
        again = await app.ask(add(thread_id(streamed), "Hello again"))
        plain = await app.chat("Hello")

    assert answer(streamed) == "You have written 1 messages."
    assert answer(again) == "You have written 2 messages."
    assert plain["message"] == "You have written 1 messages."


async def test_guardrails_are_functions(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("Guardrails")
    model_api.script(Reply("It is 5 EUR"))

    async with running_app(with_model, app=APP) as app:
        shouted = await app.chat("WHAT IS IT")
        priced = await app.chat("What does it cost?")

    assert shouted["message"] == "Please do not shout."
    assert priced["message"] == "Please ask for our prices."
    assert len(model_api.requests) == 1


async def test_a_history_policy_chooses_what_the_model_reads(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("History")

    async with running_app(with_model, app=APP) as app:
        thread = thread_id(await _ask(app, "one"))
        for text_ in ("two", "three"):
            await app.ask(add(thread, text_))

    assert [text_.strip() for text_ in model_api.texts()] == ["two", "echo: two", "three"]


async def test_a_history_policy_is_not_given_what_a_guardrail_stopped(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("History")
    guarded = with_model.model_copy(update={"blocked_input": ["secret"]})

    async with running_app(guarded, app=APP) as app:
        thread = thread_id(await _ask(app, "one"))
        await app.ask(add(thread, "a secret"))
        await app.ask(add(thread, "two"))

    assert "secret" not in str(model_api.requests)


async def test_a_title_is_written_by_a_function(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("Titles")
    settings = with_model.model_copy(update={"thread_titles": True})

    async def titles(app: Running) -> list[str | None]:
        listed = (await app.http.get("/api/threads")).json()["data"]
        return [thread.get("title") for thread in listed]

    async with running_app(settings, app=APP) as app:
        await _ask(app, "Hello", page_context={"current_chapter": "3"})

        async def has_title() -> bool:
            return await titles(app) == ["Chapter 3"]

        await eventually(has_title)
        await _ask(app, "Hello")
        assert await titles(app) == [None, "Chapter 3"]

    assert len(model_api.requests) == 2


async def test_tools_come_and_go(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("Tools that come and go")
    settings = with_jwt(with_model)

    async with running_app(settings, app=APP) as app:
        for user in ("ada", "eve"):
            await _ask(app, "Hello", bearer(settings, user))

    assert "read_grades" in model_api.offered_tools(0)
    assert "read_grades" not in model_api.offered_tools(1)


async def test_a_subclass_of_the_settings_is_read(
    write: Write, with_model: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Settings")
    monkeypatch.setenv("SCHOOL", "Ada's school")
    own = settings_class(APP).model_validate(with_model.model_dump())

    async with running_app(own, app=APP) as app:
        await _ask(app, "Hello")
    with pytest.raises(TypeError, match=f"{APP}.settings.Settings"):
        async with running_app(with_model, app=APP):
            pass

    assert model_api.instructions().startswith("You are the tutor of Ada's school.")


async def test_routes_have_the_user_and_the_database(write: Write, settings: Settings) -> None:
    write("Routes")

    async with running_app(settings, app=APP) as app:
        await app.chat("Hello")
        counted = await app.http.get("/api/count")
        refused = await app.http.get("/api/count", headers={"Origin": "https://evil.example"})

    assert counted.json() == 1
    assert refused.status_code == 403


async def test_middlewares_wrap_the_application(write: Write, settings: Settings) -> None:
    write("Middlewares")

    async with running_app(settings, app=APP) as app:
        known = await app.http.get("/health/live", headers={"Host": "tutor.example"})
        strange = await app.http.get("/health/live", headers={"Host": "evil.example"})

    assert (known.status_code, strange.status_code) == (200, 400)
    assert strange.headers["X-Request-ID"]


async def test_resources_are_held_while_the_application_runs(
    write: Write, with_model: Settings, model_api: FakeModelApi, tmp_path: Path
) -> None:
    write("Resources and health checks")
    glossary = tmp_path / "glossary.txt"
    glossary.write_text("loop: what repeats\n")
    model_api.script(Reply(calls=[("look_up", {"word": "loop"})]), Reply("It repeats"))

    async with running_app(with_model, app=APP) as app:
        await _ask(app, "What is a loop?")
        ready = (await app.http.get("/health/ready")).json()
    glossary.write_text("")
    async with running_app(with_model, app=APP) as app:
        missing = await app.http.get("/health/ready")

    assert model_api.tool_outputs() == ["what repeats"]
    assert {"name": "glossary", "ok": True, "detail": "1 words"} in ready["checks"]
    assert missing.status_code == 503


async def test_entities_are_found_and_read_by_the_model(
    write: Write, with_model: Settings, model_api: FakeModelApi
) -> None:
    write("Entities")
    request = create("What about ")
    tag: Json = {"type": "input_tag", "id": "course_1", "text": "Loops", "data": {}}
    request["params"]["input"]["content"].append(tag)

    async with running_app(with_model, app=APP) as app:
        found = (await app.http.get("/api/entities", params={"q": "loop"})).json()
        await app.ask(request)

    assert [each["title"] for each in found] == ["Loops"]
    assert "Loops: The course on Loops has ten lessons." in model_api.texts()[-1]


def test_commands_join_the_command_line(write: Write) -> None:
    write("Commands")
    run_command("chat", "Hello", app=APP)

    told = run_command("users", app=APP)
    wrong = run_command("users", app=APP, PORT="http")

    assert told.stdout == "1\n"
    assert wrong.exit_code == 1
    assert "PORT" in wrong.output


async def test_sweeps_and_erasers_delete_what_is_outside_the_database(
    write: Write, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Cleaning up")
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", 0.01)
    folder = tmp_path / "recordings/local"
    folder.mkdir(parents=True)
    for name in ("a.wav", "b.part"):
        (folder / name).touch()

    async with running_app(settings, app=APP) as app:

        async def is_swept() -> bool:
            return [file.name for file in folder.iterdir()] == ["a.wav"]

        await eventually(is_swept)
        await app.http.delete("/api/me/data")

    assert not folder.exists()


def test_each_method_of_the_builder_is_in_the_readme() -> None:
    hooks = [name for name, _ in getmembers(Builder, isfunction) if name[:4] in ("add_", "set_")]

    assert [name for name in hooks if name not in README] == []


def test_the_readme_lists_the_public_names() -> None:
    listed = re.findall(r"`(\w+)`", _section("Public names").partition("|---|")[2])

    assert sorted(listed) == sorted(NAMES)


def test_each_example_is_run() -> None:
    tests = Path(__file__).read_text()
    titles = re.findall(r"^#+ (?!app/)(.+)\n", README, re.MULTILINE)
    with_code = [title for title in titles if BLOCK.search(_section(title))]

    assert [title for title in with_code if f'write("{title}")' not in tests] == []
