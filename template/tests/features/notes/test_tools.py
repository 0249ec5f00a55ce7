"""The assistant's tools for notes."""

import pytest

from chatkit_engine import Settings
from chatkit_engine.testing import (
    FakeModelApi,
    Reply,
    Running,
    create,
    events_of,
    items_of,
    press,
    running_app,
    tool_call,
)


async def _notes(app: Running) -> list[str]:
    return [note["text"] for note in (await app.http.get("/api/notes")).json()]


async def test_the_demo_model_adds_and_lists_notes(app: Running) -> None:
    added = await app.chat("Add a note: buy milk")
    listed = await app.chat("List my notes")

    assert "Noted: buy milk" in added["message"]
    assert "- buy milk" in listed["message"]


async def test_what_is_no_note_is_not_kept(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    calls: list[tuple[str, dict[str, str]]] = [
        ("add_note", {"text": ""}),
        ("add_note", {"text": "x" * 10_001}),
        ("list_notes", {}),
    ]
    model_api.script(Reply(calls=calls), Reply("Sorry"))

    await app_with_model.ask(create("Note this"))

    refused = "A note needs between 1 and 10000 characters."
    assert model_api.tool_outputs() == [refused, refused, "There are no notes yet."]


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "2")


@pytest.mark.usefixtures("room_for_two")
async def test_the_user_is_warned_when_there_is_no_room_left(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    for text in ("one", "two", "three"):
        model_api.script(tool_call("add_note", text=text), Reply("Done"))

    async with running_app(with_model) as app:
        streams = [await app.ask(create("Note this")) for _ in range(3)]
        kept = await _notes(app)

    warned = [[event["message"] for event in events_of(each, "notice")] for each in streams]
    assert [len(notices) for notices in warned] == [0, 1, 0]
    assert "room for 0 more" in warned[1][0]
    assert "Delete one first" in model_api.tool_outputs()[0]
    assert kept == ["two", "one"]


async def test_all_notes_are_deleted_only_when_the_user_approves(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await app_with_model.http.post("/api/notes", json={"text": "one"})
    model_api.script(tool_call("delete_all_notes"))
    [question] = items_of(await app_with_model.ask(create("Delete all my notes")), "widget")
    assert await _notes(app_with_model) == ["one"]

    model_api.script(Reply("Done"))
    await app_with_model.ask(press(question, question["widget"]["confirm"]["action"]))

    assert await _notes(app_with_model) == []
    assert model_api.tool_outputs() == ["Deleted 1 notes."]
