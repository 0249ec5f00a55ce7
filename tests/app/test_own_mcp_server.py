"""The assistant calls the project's own server, as the user of the turn and no other."""

import os
from pathlib import Path

import pytest
from features.mcp.processes import children
from features.mcp.rpc import bearer, with_users
from features.mcp.turns import call, connected_app, decision, offered, outputs, server_health
from features.mcp.turns import widgets as waiting

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import Running, running_app
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.requests import answer, create, thread_id

TEMPLATE = Path(__file__).parents[2] / "template"
COMMAND = "-m chatkit_engine.features.mcp"


@pytest.fixture(autouse=True)
def _own_server(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("MCP_OWN_SERVER", "true")
    monkeypatch.setenv("PYTHONPATH", str(TEMPLATE))


@pytest.fixture
def on_file(with_model: Settings) -> Settings:
    """Settings for a database file, which the server's process opens too."""
    return with_model


async def _note(app: Running, text: str, headers: dict[str, str] | None = None) -> str:
    added = await app.http.post("/api/notes", json={"text": text}, headers=headers or {})
    return added.json()["id"]


async def _texts(app: Running, headers: dict[str, str] | None = None) -> list[str]:
    listed = await app.http.get("/api/notes", headers=headers or {})
    return [note["text"] for note in listed.json()]


async def test_it_finds_notes_and_that_makes_nothing_else_wait(
    on_file: Settings, model_api: FakeModelApi
) -> None:
    async with connected_app(on_file, "app") as app:
        await _note(app, "Buy milk")
        streamed = await call(app, model_api, "app_search_notes", {"query": "milk"})
        assert "Buy milk" in outputs(model_api)[0]
        assert {name for name in offered(model_api) if name.startswith("app_")} == {
            "app_search_notes",
            "app_delete_note",
        }
        adding = await call(
            app, model_api, "add_note", {"text": "Buy bread"}, to=thread_id(streamed)
        )
        assert waiting(adding) == []
        assert await _texts(app) == ["Buy bread", "Buy milk"]
        assert len(children(os.getpid(), COMMAND)) == 1

    assert children(os.getpid(), COMMAND) == []


async def test_a_note_is_deleted_after_a_yes_and_not_before(
    on_file: Settings, model_api: FakeModelApi
) -> None:
    async with connected_app(on_file, "app") as app:
        milk, bread = await _note(app, "Buy milk"), await _note(app, "Buy bread")
        yes = await call(app, model_api, "app_delete_note", {"note_id": milk})
        no = await call(app, model_api, "app_delete_note", {"note_id": bread})
        assert await _texts(app) == ["Buy bread", "Buy milk"]

        await app.ask(decision(yes, approved=True))
        assert outputs(model_api) == [f"Deleted the note {milk}."]
        await app.ask(decision(no, approved=False))

        assert await _texts(app) == ["Buy bread"]


async def test_an_error_of_its_own_is_told_as_it_is(
    on_file: Settings, model_api: FakeModelApi
) -> None:
    async with connected_app(on_file, "app") as app:
        streamed = await call(app, model_api, "app_delete_note", {"note_id": "note_0"})
        await app.ask(decision(streamed, approved=True))

    assert outputs(model_api) == ["This note does not exist."]


async def test_nobody_reaches_anothers_notes(on_file: Settings, model_api: FakeModelApi) -> None:
    settings = with_users(on_file)
    ada, bob = bearer(settings, "ada"), bearer(settings, "bob")

    async with connected_app(settings, "app") as app:
        note = await _note(app, "Adas secret", ada)
        app.http.headers |= bob
        streamed = await call(app, model_api, "app_search_notes", {"query": "secret"})
        assert "secret" not in str(outputs(model_api))
        deleting = await call(
            app, model_api, "app_delete_note", {"note_id": note}, to=thread_id(streamed)
        )
        await app.ask(decision(deleting, approved=True, thread=thread_id(streamed)))
        assert outputs(model_api)[-1] == "This note does not exist."
        assert await _texts(app, ada) == ["Adas secret"]
        app.http.headers |= ada
        await call(app, model_api, "app_search_notes", {"query": "secret"})

    assert "Adas secret" in outputs(model_api)[0]


async def test_a_database_in_memory_is_not_shared_with_it(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    in_memory = with_model.model_copy(update={"database_url": "sqlite:///:memory:"})
    async with running_app(in_memory) as app:
        streamed = await app.ask(create("Hello"))
        assert await server_health(app) == {}

    assert answer(streamed).strip() == "echo: Hello"
    assert not [name for name in offered(model_api) if name.startswith("app_")]
