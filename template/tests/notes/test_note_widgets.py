"""The notes' list as a widget: it streams, its buttons work, and it is the user's own."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.features.notes.widgets import KEY
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import SECRET, Running, running_app
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import (
    Json,
    add,
    create,
    events,
    items_of,
    op,
    without_defaults,
)


async def _note(app: Running, text: str, headers: dict[str, str] | None = None) -> str:
    added = await app.http.post("/api/notes", json={"text": text}, headers=headers)
    return added.json()["id"]


async def _shown(app: Running, model_api: FakeModelApi) -> tuple[list[Json], Json]:
    model_api.script(Reply(calls=[("show_notes", {})]), Reply("There you are"))
    streamed = await app.ask(create("Show my notes"))
    [widget] = items_of(streamed, "widget")
    return streamed, widget


async def _stored(app: Running, item: Json) -> Json:
    [stored] = [each for each in await app.items(item["thread_id"]) if each["id"] == item["id"]]
    return without_defaults(stored)


def _action(item: Json, name: str, payload: object, kind: str = "threads.custom_action") -> Json:
    action = {"type": name, "payload": payload}
    return op(kind, thread_id=item["thread_id"], item_id=item["id"], action=action)


def _rows(item: Json) -> list[tuple[str, str]]:
    """Return the icon of each note's pin, and its text."""
    rows = item["widget"]["children"][1:]
    return [(row["children"][2]["iconStart"], row["children"][0]["value"]) for row in rows]


def _headline(item: Json) -> str:
    return item["widget"]["children"][0]["value"]


async def test_the_list_is_streamed_as_it_becomes_known(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    for text in ("one", "two"):
        await _note(app_with_model, text)

    streamed, widget = await _shown(app_with_model, model_api)

    [begun] = items_of(streamed, "widget", "thread.item.added")
    assert _headline(begun) == "Your notes"
    updates = [
        event["update"]
        for event in streamed
        if event["type"] == "thread.item.updated" and event["item_id"] == widget["id"]
    ]
    assert [update["type"] for update in updates] == [
        "widget.streaming_text.value_delta",
        "widget.root.updated",
    ]
    assert (updates[0]["component_id"], updates[0]["delta"]) == ("headline", ": 2")
    assert updates[1]["widget"] == widget["widget"]
    assert _headline(widget) == "Your notes: 2"
    assert _rows(widget) == [("star", "two"), ("star", "one")]
    assert await _stored(app_with_model, widget) == without_defaults(widget)


async def test_a_deleted_note_goes_from_the_list_and_the_model_knows(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    first = await _note(app_with_model, "one")
    await _note(app_with_model, "two")
    _, widget = await _shown(app_with_model, model_api)

    streamed = await app_with_model.ask(_action(widget, "notes.delete", {"note": first}))
    await app_with_model.ask(add(widget["thread_id"], "And now?"))

    [replaced] = items_of(streamed, "widget", "thread.item.replaced")
    assert replaced["id"] == widget["id"]
    assert (_headline(replaced), _rows(replaced)) == ("Your notes: 1", [("star", "two")])
    assert await _stored(app_with_model, replaced) == without_defaults(replaced)
    assert f"The user has deleted the note {first}." in " ".join(model_api.texts())
    assert [note["text"] for note in (await app_with_model.http.get("/api/notes")).json()] == [
        "two"
    ]


async def test_a_note_that_is_gone_is_said_to_be_and_the_list_is_shown_anew(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    note = await _note(app_with_model, "one")
    _, widget = await _shown(app_with_model, model_api)
    press = _action(widget, "notes.delete", {"note": note})
    await app_with_model.ask(press)

    streamed = await app_with_model.ask(press)

    [notice] = [event for event in streamed if event["type"] == "notice"]
    assert notice["message"] == "This note does not exist."
    [replaced] = items_of(streamed, "widget", "thread.item.replaced")
    assert _headline(replaced) == "Your notes: none yet"


async def test_a_pin_is_set_and_taken_off_at_once(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    first = await _note(app_with_model, "one")
    await _note(app_with_model, "two")
    _, widget = await _shown(app_with_model, model_api)
    button = widget["widget"]["children"][2]["children"][2]["onClickAction"]
    assert button["streaming"] is False
    assert button["payload"] == {"note": first, "pinned": True}

    answers: list[Json] = []
    for pinned in (True, False):
        payload = {"note": first, "pinned": pinned}
        request = _action(widget, "notes.pin", payload, "threads.sync_custom_action")
        answers.append((await app_with_model.chatkit(request)).json()["updated_item"])

    assert _rows(answers[0]) == [("star-filled", "one"), ("star", "two")]
    assert _rows(answers[1]) == [("star", "two"), ("star", "one")]
    assert await _stored(app_with_model, answers[1]) == without_defaults(answers[1])
    assert model_api.requests[2:] == []


@pytest.mark.parametrize("payload", [None, {}, {"note": 5}, {"note": "x" * 101}, {"note": None}])
async def test_a_payload_that_names_no_note_is_refused(
    app_with_model: Running, model_api: FakeModelApi, payload: object
) -> None:
    _, widget = await _shown(app_with_model, model_api)

    for name, kind in (
        ("notes.delete", "threads.custom_action"),
        ("notes.pin", "threads.sync_custom_action"),
    ):
        refused = await app_with_model.chatkit(_action(widget, name, payload, kind))
        assert refused.status_code == 400
        assert refused.json()["errors"]


async def test_a_strangers_note_is_neither_deleted_nor_pinned(
    with_model: Settings, model_api: FakeModelApi, tmp_path: Path
) -> None:
    values = with_model.model_dump() | {
        "auth_mode": "jwt",
        "jwt_secret": SECRET,
        "database_url": f"sqlite:///{tmp_path}/chat.db",
    }
    settings = Settings.model_validate(values)
    ada, eve = (
        {"Authorization": f"Bearer {issue_token(settings, name, timedelta(hours=1))}"}
        for name in ("ada", "eve")
    )
    async with running_app(settings) as app:
        note = await _note(app, "mine", ada)
        model_api.script(Reply(calls=[("show_notes", {})]), Reply("There"))
        shown = await app.http.post("/chatkit", json=create("Show"), headers=eve)
        [widget] = items_of(events(shown.text), "widget")
        deleted = await app.http.post(
            "/chatkit", json=_action(widget, "notes.delete", {"note": note}), headers=eve
        )
        pin = _action(
            widget, "notes.pin", {"note": note, "pinned": True}, "threads.sync_custom_action"
        )
        pinned = await app.http.post("/chatkit", json=pin, headers=eve)
        left = (await app.http.get("/api/notes", headers=ada)).json()

    assert _rows(widget) == []
    assert "This note does not exist." in deleted.text
    assert pinned.status_code == 404
    assert [(each["text"], each["pinned"]) for each in left] == [("mine", False)]


async def test_only_a_list_of_notes_becomes_one(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    note = await _note(app_with_model, "one")
    model_api.script(Reply(calls=[("draft_note", {"text": "x"})]), Reply("There"))
    [draft] = items_of(await app_with_model.ask(create("Draft")), "widget")
    assert draft["widget"]["key"] != KEY

    pin = _action(draft, "notes.pin", {"note": note, "pinned": True}, "threads.sync_custom_action")
    pinned = await app_with_model.chatkit(pin)
    deleted = await app_with_model.ask(_action(draft, "notes.delete", {"note": note}))

    assert pinned.json() == {}
    assert items_of(deleted, "widget", "thread.item.replaced") == []
    assert await _stored(app_with_model, draft) == without_defaults(draft)


async def test_all_notes_are_deleted_after_a_yes_alone(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _note(app_with_model, "one")
    model_api.script(Reply(calls=[("delete_all_notes", {})]))
    [question] = items_of(await app_with_model.ask(create("Delete all my notes")), "widget")
    assert len((await app_with_model.http.get("/api/notes")).json()) == 1
    yes = question["widget"]["confirm"]["action"]

    model_api.script(Reply("Done"))
    await app_with_model.ask(_action(question, yes["type"], yes["payload"]))

    assert (await app_with_model.http.get("/api/notes")).json() == []
    assert model_api.requests[-1]["input"][-1]["output"] == "Deleted 1 notes."


async def test_a_note_near_the_limit_is_kept_with_a_warning(
    with_model: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "10")
    async with running_app(with_model) as app:
        for number in range(7):
            await _note(app, str(number))
        for _ in range(2):
            model_api.script(Reply(calls=[("add_note", {"text": "more"})]), Reply("Noted"))
        before = await app.ask(create("Note this"))
        after = await app.ask(create("And this"))

    assert "notice" not in [event["type"] for event in before]
    [notice] = [event for event in after if event["type"] == "notice"]
    assert notice["level"] == "warning"
    assert "room for 1 more" in notice["message"]


async def test_notes_are_entities(app_with_model: Running, model_api: FakeModelApi) -> None:
    text = "Buy 100% milk\n" + "and more " * 20
    note = await _note(app_with_model, text)
    await _note(app_with_model, "x" * 100)

    found = (await app_with_model.http.get("/api/entities", params={"q": "100%"})).json()
    preview = (await app_with_model.http.get(f"/api/entities/{note}/preview")).json()["preview"]
    request = create("See ")
    request["params"]["input"]["content"].append(
        {"type": "input_tag", "id": note, "text": "milk", "data": {}}
    )
    await app_with_model.ask(request)

    assert [(each["id"], each["title"], each["group"]) for each in found] == [
        (note, "Buy 100% milk", "Notes")
    ]
    assert preview["children"][0]["children"][2]["value"] == text
    assert f"milk: {text}" in model_api.texts()[-1]


async def test_the_list_is_in_the_users_language(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _note(app_with_model, "one")
    model_api.script(Reply(calls=[("show_notes", {})]), Reply("Bitte"))

    german = {"Accept-Language": "de-AT"}
    shown = await app_with_model.http.post("/chatkit", json=create("Zeig"), headers=german)

    [widget] = items_of(events(shown.text), "widget")
    assert _headline(widget) == "Ihre Notizen: 1"
