"""The list of notes as a widget: it streams, and its buttons work."""

from app.features.notes.widgets import KEY
from chatkit_engine import Settings
from chatkit_engine.testing import (
    FakeModelApi,
    Json,
    Reply,
    Running,
    actions_of,
    add,
    bearer,
    create,
    events_of,
    items_of,
    press,
    running_app,
    tool_call,
    with_jwt,
)


async def _note(app: Running, text: str, headers: dict[str, str] | None = None) -> str:
    added = await app.http.post("/api/notes", json={"text": text}, headers=headers)
    return added.json()["id"]


async def _shown(
    app: Running, model_api: FakeModelApi, headers: dict[str, str] | None = None
) -> Json:
    """Have the list shown, and return its item."""
    model_api.script(tool_call("show_notes"), Reply("There you are"))
    [widget] = items_of(await app.ask(create("Show my notes"), headers), "widget")
    return widget


def _headline(item: Json) -> str:
    return item["widget"]["children"][0]["value"]


def _rows(item: Json) -> list[tuple[str, str]]:
    """Return the icon of each note's pin, and its text."""
    rows = item["widget"]["children"][1:]
    return [(row["children"][2]["iconStart"], row["children"][0]["value"]) for row in rows]


async def test_the_list_is_streamed_as_it_becomes_known(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    for text in ("one", "two"):
        await _note(app_with_model, text)
    model_api.script(tool_call("show_notes"), Reply("There you are"))

    streamed = await app_with_model.ask(create("Show my notes"))

    [begun] = items_of(streamed, "widget", "thread.item.added")
    [widget] = items_of(streamed, "widget")
    assert (_headline(begun), _rows(begun)) == ("Your notes", [])
    assert (_headline(widget), _rows(widget)) == (
        "Your notes: 2",
        [("star", "two"), ("star", "one")],
    )


async def test_a_deleted_note_goes_from_the_list_and_the_model_knows(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    first = await _note(app_with_model, "one")
    await _note(app_with_model, "two")
    shown = await _shown(app_with_model, model_api)
    delete = actions_of(shown, "notes.delete")[1]

    streamed = await app_with_model.ask(press(shown, delete))
    await app_with_model.ask(add(shown["thread_id"], "And now?"))

    [replaced] = items_of(streamed, "widget", "thread.item.replaced")
    assert replaced["id"] == shown["id"]
    assert (_headline(replaced), _rows(replaced)) == ("Your notes: 1", [("star", "two")])
    assert f"The user has deleted the note {first}." in " ".join(model_api.texts())
    [notice] = events_of(await app_with_model.ask(press(shown, delete)), "notice")
    assert notice["message"] == "This note does not exist."


async def test_a_note_is_pinned_and_unpinned_at_once(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    for text in ("one", "two"):
        await _note(app_with_model, text)
    shown = await _shown(app_with_model, model_api)
    pin = actions_of(shown, "notes.pin")[1]

    pinned = (await app_with_model.chatkit(press(shown, pin))).json()["updated_item"]
    unpin = actions_of(pinned, "notes.pin")[0]
    unpinned = (await app_with_model.chatkit(press(pinned, unpin))).json()["updated_item"]

    assert _rows(pinned) == [("star-filled", "one"), ("star", "two")]
    assert _rows(unpinned) == [("star", "two"), ("star", "one")]
    assert len(model_api.requests) == 2


async def test_an_action_that_names_no_note_is_refused(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _note(app_with_model, "one")
    shown = await _shown(app_with_model, model_api)

    for action in (*actions_of(shown, "notes.delete"), *actions_of(shown, "notes.pin")):
        refused = await app_with_model.chatkit(press(shown, action, note=5))
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "note"


async def test_another_users_note_is_neither_deleted_nor_pinned(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    settings = with_jwt(with_model)
    ada, eve = bearer(settings, "ada"), bearer(settings, "eve")
    async with running_app(settings) as app:
        note = await _note(app, "mine", ada)
        await _note(app, "hers", eve)
        shown = await _shown(app, model_api, eve)
        [delete], [pin] = actions_of(shown, "notes.delete"), actions_of(shown, "notes.pin")

        deleted = await app.ask(press(shown, delete, note=note), eve)
        pinned = await app.chatkit(press(shown, pin, note=note), eve)
        [kept] = (await app.http.get("/api/notes", headers=ada)).json()

    assert _rows(shown) == [("star", "hers")]
    assert "This note does not exist." in str(events_of(deleted, "notice"))
    assert pinned.status_code == 404
    assert (kept["text"], kept["pinned"]) == ("mine", False)


async def test_only_a_list_of_notes_becomes_one(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    note = await _note(app_with_model, "one")
    model_api.script(tool_call("draft_note", text="x"), Reply("There"))
    [draft] = items_of(await app_with_model.ask(create("Draft")), "widget")
    assert draft["widget"]["key"] != KEY

    delete = {"type": "notes.delete", "payload": {"note": note}}
    streamed = await app_with_model.ask(press(draft, delete))

    assert items_of(streamed, "widget", "thread.item.replaced") == []
