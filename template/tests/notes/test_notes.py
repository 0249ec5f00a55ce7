"""The notes feature: its routes, its tools and its limits."""

from datetime import timedelta
from pathlib import Path

import pytest
from chatkit_engine.testing.cli import cli
from typer.testing import CliRunner

from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import SECRET, Running, make_settings, running_app


async def test_a_note_is_kept_listed_and_deleted(app: Running) -> None:
    added = await app.http.post("/api/notes", json={"text": "Buy milk"})
    await app.http.post("/api/notes", json={"text": "Call Ada"})
    listed = await app.http.get("/api/notes")
    deleted = await app.http.delete(f"/api/notes/{added.json()['id']}")

    assert added.status_code == 201
    assert added.json()["created_at"].endswith("Z")
    assert [note["text"] for note in listed.json()] == ["Call Ada", "Buy milk"]
    assert deleted.status_code == 204
    assert [note["text"] for note in (await app.http.get("/api/notes")).json()] == ["Call Ada"]


async def test_the_assistant_adds_and_lists_notes(app: Running) -> None:
    added = await app.http.post("/api/chat", json={"message": "Add a note: water the plants"})
    listed = await app.http.post("/api/chat", json={"message": "List my notes"})

    assert "Noted: water the plants" in added.json()["message"]
    assert "- water the plants" in listed.json()["message"]


@pytest.mark.parametrize("text", ["", "x" * 10_001, "a\x00b", 5, None])
async def test_what_is_no_note_is_refused(app: Running, text: object) -> None:
    response = await app.http.post("/api/notes", json={"text": text})

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "body.text"


async def test_an_unknown_note_is_not_found(app: Running) -> None:
    assert (await app.http.delete("/api/notes/note_unknown")).status_code == 404


async def test_there_is_a_limit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "1")
    async with running_app(settings) as app:
        await app.http.post("/api/notes", json={"text": "one"})
        second = await app.http.post("/api/notes", json={"text": "two"})
        told = await app.http.post("/api/chat", json={"message": "add a note: three"})

    assert second.status_code == 409
    assert "Delete one first" in told.json()["message"]


def test_a_wrong_limit_is_named_by_every_command() -> None:
    for command in (["doctor"], ["serve"], ["migrate"]):
        result = CliRunner().invoke(cli, command, env={"NOTES_MAX_PER_USER": "0"})
        assert result.exit_code == 1
        assert "NOTES_MAX_PER_USER" in result.output
        assert "Traceback" not in result.output


async def test_a_users_notes_are_theirs_alone(tmp_path: Path) -> None:
    settings = make_settings(
        auth_mode="jwt", jwt_secret=SECRET, database_url=f"sqlite:///{tmp_path}/chat.db"
    )
    ada, eve = (
        {"Authorization": f"Bearer {issue_token(settings, name, timedelta(hours=1))}"}
        for name in ("ada", "eve")
    )
    async with running_app(settings) as app:
        note = (await app.http.post("/api/notes", json={"text": "secret"}, headers=ada)).json()

        seen = await app.http.get("/api/notes", headers=eve)
        deleted = await app.http.delete(f"/api/notes/{note['id']}", headers=eve)
        unknown = await app.http.delete("/api/notes/note_unknown", headers=eve)

        assert seen.json() == []
        assert deleted.status_code == 404
        assert deleted.content == unknown.content
        assert len((await app.http.get("/api/notes", headers=ada)).json()) == 1


async def test_notes_are_exported_and_erased_with_their_user(app: Running) -> None:
    await app.http.post("/api/notes", json={"text": "Buy milk"})

    export = (await app.http.get("/api/me/data")).text
    erased = (await app.http.delete("/api/me/data")).json()

    assert "Buy milk" in export
    assert erased["notes"] == 1
    assert (await app.http.get("/api/notes")).json() == []
