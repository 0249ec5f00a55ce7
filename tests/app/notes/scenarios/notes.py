"""The notes' list as a widget: streamed, pinned at once, and deleted from."""

from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import op


@scenario
def notes_in_a_widget(talk: Talk) -> None:
    note = talk.http.post("/api/notes", json={"text": "Buy plums"}).json()["id"]
    call = Reply(calls=[("show_notes", {})])
    thread = talk.open("Show my notes", call, Reply("There they are"))
    listed = next(item for item in talk.items(thread) if item["type"] == "widget")
    place = {"thread_id": thread, "item_id": listed["id"]}

    pin = {"type": "notes.pin", "payload": {"note": note, "pinned": True}}
    assert talk.send("threads.sync_custom_action", action=pin, **place)["updated_item"]
    delete = {"type": "notes.delete", "payload": {"note": note}}
    talk.ask(op("threads.custom_action", action=delete, **place))

    assert "Buy plums" not in str(talk.items(thread))
