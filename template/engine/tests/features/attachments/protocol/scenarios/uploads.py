"""Files and images in messages: announced, uploaded, sent, shown by links, and deleted."""

from features.attachments.files import PNG
from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import Json, message, op

TEXT = b"Plums are blue."


@scenario
def uploads_in_two_phases(talk: Talk) -> None:
    file = _uploaded(talk, "plums.txt", "text/plain", TEXT)
    image = _uploaded(talk, "plum.png", "image/png", PNG)

    said = message("What is in them?", file["id"], image["id"])
    thread = talk.ask(op("threads.create", input=said), Reply("Plums"))[0]["thread"]["id"]

    assert TEXT.decode() in talk.model.texts()[-1]
    [_, shown] = talk.items(thread)[0]["attachments"]
    assert talk.http.get(shown["preview_url"]).content == PNG
    talk.send("threads.get_by_id", thread_id=thread)


@scenario
def an_attachment_that_is_not_sent(talk: Talk) -> None:
    file = _uploaded(talk, "plums.txt", "text/plain", TEXT)

    talk.send("attachments.delete", attachment_id=file["id"])

    said = message("What is in it?", file["id"])
    assert talk.refused(op("threads.create", input=said)) == 404


def _uploaded(talk: Talk, name: str, mime_type: str, content: bytes) -> Json:
    announced: Json = talk.send(
        "attachments.create", name=name, size=len(content), mime_type=mime_type
    )
    upload = announced["upload_descriptor"]
    sent = talk.http.request(
        upload["method"], upload["url"], content=content, headers=upload["headers"]
    )
    assert sent.status_code == 204, sent.text
    return announced
