"""Notes as entities: found with `@`, and read by the model where a message names one."""

import pytest

from app.features.notes.entities import NoteEntities
from app.features.notes.service import Notes
from app.features.notes.settings import NotesSettings
from chatkit_engine import Database, User
from chatkit_engine.testing import FakeModelApi, Json, Running, create

ADA, EVE = User(id="ada"), User(id="eve")


@pytest.fixture
def notes(database: Database) -> Notes:
    return Notes(database, NotesSettings())


async def test_notes_are_found_by_what_is_typed(notes: Notes) -> None:
    note = await notes.add(ADA, "Buy 100% milk\nand more")
    await notes.add(ADA, "Call Bob")

    [found] = await NoteEntities(notes).search(ADA, "100%", 10)

    assert (found.id, found.title, found.group) == (note.id, "Buy 100% milk", "Notes")


async def test_a_long_title_is_cut(notes: Notes) -> None:
    await notes.add(ADA, "x" * 100)

    [found] = await NoteEntities(notes).search(ADA, "", 10)

    assert found.title == "x" * 60 + "…"


async def test_another_users_note_is_neither_found_nor_loaded(notes: Notes) -> None:
    note = await notes.add(ADA, "secret")
    entities = NoteEntities(notes)

    assert await entities.search(EVE, "secret", 10) == []
    assert await entities.load(EVE, note.id) is None


async def test_the_model_reads_the_note_that_a_message_names(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    added = await app_with_model.http.post("/api/notes", json={"text": "Buy oat milk"})
    request = create("What about ")
    tag: Json = {"type": "input_tag", "id": added.json()["id"], "text": "milk", "data": {}}
    request["params"]["input"]["content"].append(tag)

    await app_with_model.ask(request)

    assert "milk: Buy oat milk" in model_api.texts()[-1]
