"""Drafts of notes: changed, saved once, or discarded."""

import asyncio

import pytest
from chatkit.types import WidgetItem

from chatkit_engine.context import RequestContext, User
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.items import ITEM
from chatkit_engine.testing.app import Running, running_app
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, create, items_of, op, without_defaults
from chatkit_engine.turns.service import ChatService


async def _drafted(app: Running, model_api: FakeModelApi, text: str = "Buy milk") -> Json:
    model_api.script(Reply(calls=[("draft_note", {"text": text})]), Reply("There you are"))
    [draft] = items_of(await app.ask(create("Write me a note")), "widget")
    return draft


def _press(draft: Json, button: str, **form: object) -> Json:
    action = draft["widget"][button]["action"]
    pressed = {"type": action["type"], "payload": action["payload"] | form}
    return op(
        "threads.custom_action",
        thread_id=draft["thread_id"],
        item_id=draft["id"],
        action=pressed,
    )


async def _stored(app: Running, draft: Json) -> Json:
    return without_defaults((await app.items(draft["thread_id"]))[1])


async def _notes(app: Running) -> list[str]:
    return [note["text"] for note in (await app.http.get("/api/notes")).json()]


async def _put_back(app: Running, draft: Json) -> None:
    """Have the thread as it is when the process ends after the note's commit, before the turn's."""
    service: ChatService = app.chat_service
    context = RequestContext(user=User(id="local"))
    item = ITEM.validate_python(draft)
    assert isinstance(item, WidgetItem)
    await service.store.save_item(draft["thread_id"], item, context)


async def test_a_draft_is_not_kept_until_it_is_saved_as_the_user_changed_it(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)
    assert await _notes(app_with_model) == []
    assert draft["copy_text"] == "Buy milk"

    streamed = await app_with_model.ask(_press(draft, "confirm", text="Buy oat milk"))
    await app_with_model.ask(add(draft["thread_id"], "And now?"))

    assert await _notes(app_with_model) == ["Buy oat milk"]
    [saved] = items_of(streamed, "widget", "thread.item.replaced")
    assert saved["id"] == draft["id"]
    assert "confirm" not in saved["widget"]
    assert [child["value"] for child in saved["widget"]["children"]] == [
        "Saved as a note",
        "Buy oat milk",
    ]
    assert await _stored(app_with_model, saved) == without_defaults(saved)
    assert "has saved the draft" in " ".join(model_api.texts())


async def test_a_draft_is_saved_once(app_with_model: Running, model_api: FakeModelApi) -> None:
    draft = await _drafted(app_with_model, model_api)
    await app_with_model.ask(_press(draft, "confirm"))

    for button in ("confirm", "cancel"):
        streamed = await app_with_model.ask(_press(draft, button))
        [notice] = [event for event in streamed if event["type"] == "notice"]
        assert "saved or discarded already" in notice["message"]
    await asyncio.gather(*(app_with_model.chatkit(_press(draft, "confirm")) for _ in range(5)))

    assert await _notes(app_with_model) == ["Buy milk"]


async def test_a_draft_whose_saving_was_cut_off_is_not_saved_twice(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)
    note = draft["widget"]["confirm"]["action"]["payload"]["note"]
    await app_with_model.ask(_press(draft, "confirm"))
    await _put_back(app_with_model, draft)

    streamed = await app_with_model.ask(_press(draft, "confirm"))

    [saved] = items_of(streamed, "widget", "thread.item.replaced")
    assert "confirm" not in saved["widget"]
    assert [each["id"] for each in (await app_with_model.http.get("/api/notes")).json()] == [note]


async def test_a_discarded_draft_is_not_kept(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)

    streamed = await app_with_model.ask(_press(draft, "cancel"))
    await app_with_model.ask(_press(draft, "confirm"))

    [gone] = items_of(streamed, "widget", "thread.item.replaced")
    assert [child["value"] for child in gone["widget"]["children"]] == ["Discarded", "Buy milk"]
    assert await _notes(app_with_model) == []


@pytest.mark.parametrize("text", ["", "x" * 10_001, 5, None])
async def test_what_is_no_note_is_not_saved(
    app_with_model: Running, model_api: FakeModelApi, text: object
) -> None:
    draft = await _drafted(app_with_model, model_api)

    refused = await app_with_model.chatkit(_press(draft, "confirm", text=text))

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "text"
    assert await _notes(app_with_model) == []


async def test_another_drafts_note_cannot_be_named(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    draft = await _drafted(app_with_model, model_api)

    await app_with_model.ask(_press(draft, "confirm", note="note_of_my_own"))

    assert await _notes(app_with_model) == []
    assert await _stored(app_with_model, draft) == without_defaults(draft)


async def test_a_draft_that_finds_no_room_stays_open(
    with_model: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "1")
    async with running_app(with_model) as app:
        await app.http.post("/api/notes", json={"text": "one"})
        draft = await _drafted(app, model_api)
        refused = await app.ask(_press(draft, "confirm"))
        still_open = await _stored(app, draft)

    [notice] = [event for event in refused if event["type"] == "notice"]
    assert "Delete one first" in notice["message"]
    assert still_open == without_defaults(draft)
