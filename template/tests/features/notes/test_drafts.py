"""Drafts of notes: the user changes one, and saves or discards it."""

import asyncio

import pytest

from chatkit_engine import Settings
from chatkit_engine.testing import (
    FakeModelApi,
    Json,
    Reply,
    Running,
    add,
    create,
    events_of,
    items_of,
    press,
    running_app,
    tool_call,
    without_defaults,
)


async def _drafted(app: Running, model_api: FakeModelApi) -> Json:
    """Have the model show a draft, and return its item."""
    model_api.script(tool_call("draft_note", text="Buy milk"), Reply("There you are"))
    [draft] = items_of(await app.ask(create("Write me a note")), "widget")
    return draft


def _save(draft: Json, **form: object) -> Json:
    return press(draft, draft["widget"]["confirm"]["action"], **form)


def _discard(draft: Json) -> Json:
    return press(draft, draft["widget"]["cancel"]["action"])


def _texts(item: Json) -> list[str]:
    return [child["value"] for child in item["widget"]["children"]]


async def _notes(app: Running) -> list[str]:
    return [note["text"] for note in (await app.http.get("/api/notes")).json()]


async def test_a_draft_is_kept_when_it_is_saved_as_the_user_changed_it(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)
    assert await _notes(app_with_model) == []

    streamed = await app_with_model.ask(_save(draft, text="Buy oat milk"))
    await app_with_model.ask(add(draft["thread_id"], "And now?"))

    [saved] = items_of(streamed, "widget", "thread.item.replaced")
    assert await _notes(app_with_model) == ["Buy oat milk"]
    assert saved["id"] == draft["id"]
    assert _texts(saved) == ["Saved as a note", "Buy oat milk"]
    assert "has saved the draft" in " ".join(model_api.texts())


async def test_a_draft_is_saved_once(app_with_model: Running, model_api: FakeModelApi) -> None:
    draft = await _drafted(app_with_model, model_api)
    await app_with_model.ask(_save(draft))

    for again in (_save(draft), _discard(draft)):
        [notice] = events_of(await app_with_model.ask(again), "notice")
        assert "saved or discarded already" in notice["message"]
    await asyncio.gather(*(app_with_model.chatkit(_save(draft)) for _ in range(5)))

    assert await _notes(app_with_model) == ["Buy milk"]


async def test_a_discarded_draft_is_not_kept(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)

    streamed = await app_with_model.ask(_discard(draft))
    await app_with_model.ask(_save(draft))

    [gone] = items_of(streamed, "widget", "thread.item.replaced")
    assert _texts(gone) == ["Discarded", "Buy milk"]
    assert await _notes(app_with_model) == []


async def test_neither_a_wrong_text_nor_another_drafts_id_is_saved(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)

    for text in ("", "x" * 10_001, 5, None):
        refused = await app_with_model.chatkit(_save(draft, text=text))
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "text"
    await app_with_model.ask(_save(draft, note="note_of_another_draft"))

    assert await _notes(app_with_model) == []


@pytest.fixture
def room_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "1")


@pytest.mark.usefixtures("room_for_one")
async def test_a_draft_that_finds_no_room_stays_open(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(with_model) as app:
        await app.http.post("/api/notes", json={"text": "one"})
        draft = await _drafted(app, model_api)
        refused = await app.ask(_save(draft))
        _, still_open, *_ = await app.items(draft["thread_id"])

    assert "Delete one first" in str(events_of(refused, "notice"))
    assert without_defaults(still_open) == without_defaults(draft)
