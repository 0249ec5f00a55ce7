"""Conversations with attachments: announced, sent, given to the model, and deleted."""

from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import message, op


@scenario
def attachments(talk: Talk) -> None:
    file = _announced(talk, "a.txt", "text/plain")
    image = _announced(talk, "b.png", "image/png")
    unused = _announced(talk, "c.txt", "text/plain")

    said = message("Read them", file, image)
    talk.ask(op("threads.create", input=said), Reply("I have read them"))
    talk.send("attachments.delete", attachment_id=unused)

    assert "The file a.txt" in talk.model.texts()[-1]
    assert sorted(talk.stored("SELECT id FROM attachments WHERE user_id = ?")) == sorted(
        [file, image]
    )


def _announced(talk: Talk, name: str, mime_type: str) -> str:
    announced = talk.send("attachments.create", name=name, size=3, mime_type=mime_type)
    return str(announced["id"])
