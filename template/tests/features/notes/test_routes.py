"""The notes over REST."""

from chatkit_engine import Settings
from chatkit_engine.testing import Running, bearer, run_command, running_app, with_jwt


async def test_a_note_is_kept_listed_and_deleted(app: Running) -> None:
    added = await app.http.post("/api/notes", json={"text": "Buy milk"})
    await app.http.post("/api/notes", json={"text": "Call Ada"})
    listed = await app.http.get("/api/notes")
    deleted = await app.http.delete(f"/api/notes/{added.json()['id']}")

    assert (added.status_code, deleted.status_code) == (201, 204)
    assert added.json()["created_at"].endswith("Z")
    assert [note["text"] for note in listed.json()] == ["Call Ada", "Buy milk"]
    assert [note["text"] for note in (await app.http.get("/api/notes")).json()] == ["Call Ada"]


async def test_what_is_no_note_is_refused(app: Running) -> None:
    for text in ("", "x" * 10_001, "a\x00b", 5, None):
        response = await app.http.post("/api/notes", json={"text": text})

        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "body.text"


async def test_an_unknown_note_is_not_found(app: Running) -> None:
    response = await app.http.delete("/api/notes/note_unknown")

    assert response.status_code == 404
    assert response.json()["detail"] == "This note does not exist."


async def test_a_users_notes_are_theirs_alone(settings: Settings) -> None:
    settings = with_jwt(settings)
    ada, eve = bearer(settings, "ada"), bearer(settings, "eve")
    async with running_app(settings) as app:
        note = (await app.http.post("/api/notes", json={"text": "secret"}, headers=ada)).json()

        seen = await app.http.get("/api/notes", headers=eve)
        deleted = await app.http.delete(f"/api/notes/{note['id']}", headers=eve)
        unknown = await app.http.delete("/api/notes/note_unknown", headers=eve)
        kept = await app.http.get("/api/notes", headers=ada)

    assert seen.json() == []
    assert (deleted.status_code, deleted.content) == (404, unknown.content)
    assert kept.json() == [note]


async def test_notes_are_exported_and_erased_with_their_user(app: Running) -> None:
    await app.http.post("/api/notes", json={"text": "Buy milk"})

    export = (await app.http.get("/api/me/data")).text
    erased = (await app.http.delete("/api/me/data")).json()

    assert "Buy milk" in export
    assert erased["notes"] == 1
    assert (await app.http.get("/api/notes")).json() == []


def test_a_wrong_limit_is_named_by_commands() -> None:
    result = run_command("migrate", NOTES_MAX_PER_USER="0")

    assert result.exit_code == 1
    assert "NOTES_MAX_PER_USER" in result.output
