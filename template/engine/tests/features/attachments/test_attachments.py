"""Tests attachments from upload to deletion: responses, stored bytes and sweeps."""

import json
import re
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from features.attachments.files import (
    GIF,
    JPEG,
    PDF,
    PNG,
    WEBP,
    announce,
    announced,
    put,
    rows,
    sent,
    stored_bytes,
    upload,
    uploaded,
)
from support.app import Running, make_settings, running_app, running_server
from support.sql import run_sql

from chatkit_engine.features.attachments.inspector import Inspector
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.features.attachments.uploads import Uploads
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.testing.requests import Json, events, message, op, thread_id

KINDS: dict[str, tuple[bytes, str, str]] = {
    "a PNG": (PNG, "photo.png", "image/png"),
    "a JPEG": (JPEG, "photo.jpg", "image/jpeg"),
    "a GIF": (GIF, "photo.gif", "image/gif"),
    "a WebP": (WEBP, "photo.webp", "image/webp"),
    "a PDF": (PDF, "paper.pdf", "application/pdf"),
    "text": ("Grüße 😀\n".encode(), "hello.txt", "text/plain"),
    "Markdown": (b"# Title", "readme.md", "text/markdown"),
    "CSV": (b"a,b\n1,2\n", "table.csv", "text/csv"),
    "JSON": (b'{"a": 1}', "data.json", "application/json"),
}
MIB = 1024 * 1024


@pytest.fixture
async def stored_app(each_storage: dict[str, Any]) -> AsyncGenerator[Running]:
    """The app on each kind of file storage."""
    settings = make_settings(database_url="sqlite:///:memory:", **each_storage)
    async with running_app(settings) as running:
        yield running


async def _open(app: Running, *attachments: Json) -> str:
    response = await app.chatkit(sent("Look at this", *attachments))
    assert response.status_code == 200, response.text
    return thread_id(events(response.text))


async def _stored(app: Running, attachment: Json) -> Json:
    return (await app.http.get(f"/api/attachments/{attachment['id']}")).json()


@pytest.mark.parametrize(("content", "name", "type_"), KINDS.values(), ids=KINDS)
async def test_a_file_is_uploaded_at_once_and_read_back(
    stored_app: Running, content: bytes, name: str, type_: str
) -> None:
    attachment = await uploaded(stored_app, content, name, type_)
    stored = await _stored(stored_app, attachment)
    read = await stored_app.http.get(stored.pop("url"))

    is_image = type_.startswith("image/")
    assert attachment["id"].startswith("atc_")
    assert attachment["type"] == ("image" if is_image else "file")
    assert attachment["name"] == name
    assert attachment["mime_type"] == type_
    assert ("preview_url" in attachment) == is_image
    assert "metadata" not in attachment
    assert "upload_descriptor" not in attachment
    assert stored == {
        "id": attachment["id"],
        "name": name,
        "mime_type": type_,
        "size": len(content),
    }
    assert read.content == content
    assert read.headers["content-type"].partition(";")[0] == type_
    assert read.headers["content-length"] == str(len(content))
    assert re.fullmatch(r"private, max-age=3\d\d\d", read.headers["cache-control"])


@pytest.mark.parametrize(("content", "name", "type_"), KINDS.values(), ids=KINDS)
async def test_a_file_is_announced_and_then_uploaded(
    stored_app: Running, content: bytes, name: str, type_: str
) -> None:
    attachment = await announced(stored_app, len(content), name, type_)
    descriptor = attachment["upload_descriptor"]

    response = await put(stored_app, attachment, content)

    assert descriptor["method"] == "PUT"
    assert descriptor["headers"] == {"Content-Type": type_}
    assert response.status_code == 204
    url = (await _stored(stored_app, attachment))["url"]
    assert (await stored_app.http.get(url)).content == content
    assert await rows(stored_app, "size") == [len(content)]
    assert await rows(stored_app, "key", "dead_blobs") == []


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("readme.md", "", "text/markdown"),
        ("photo.PNG", "application/octet-stream", "image/png"),
        ("photo.jpg", "image/jpg", "image/jpeg"),
        ("table.csv", "Text/CSV; charset=utf-8", "text/csv"),
    ],
)
async def test_the_types_that_browsers_send_are_understood(
    app: Running, name: str, given: str, taken: str
) -> None:
    contents = {"image/png": PNG, "image/jpeg": JPEG}

    attachment = await uploaded(app, contents.get(taken, b"hello"), name, given)

    assert attachment["mime_type"] == taken


async def test_file_types_can_be_excluded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_TYPES", "image/png, text/plain")
    async with running_app(settings) as app:
        taken = await upload(app, PNG)
        refused = await upload(app, PDF, "paper.pdf", "application/pdf")

    assert taken.status_code == 200
    assert refused.status_code == 415
    assert "image/png, text/plain" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"), [("UPLOAD_TYPES", "image/svg+xml"), ("UPLOAD_MAX_BYTES", "0")]
)
async def test_an_invalid_setting_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=name.lower()):
        async with running_app(settings):
            pass


async def test_a_message_is_sent_with_its_attachments(app: Running) -> None:
    photo = await uploaded(app)
    paper = await uploaded(app, PDF, "paper.pdf", "application/pdf")

    streamed = events((await app.chatkit(sent("Look", photo, paper))).text)

    thread = thread_id(streamed)
    item = next(event["item"] for event in streamed if event["type"] == "thread.item.done")
    assert [each["name"] for each in item["attachments"]] == ["photo.png", "paper.pdf"]
    assert await rows(app, "thread_id") == [thread, thread]


async def test_links_are_signed_again_in_every_response(app: Running) -> None:
    photo = await announced(app)
    await put(app, photo, PNG)
    request = sent("Look", photo)
    key = {"Idempotency-Key": "one"}

    streamed = events((await app.http.post("/chatkit", json=request, headers=key)).text)
    replayed = events((await app.http.post("/chatkit", json=request, headers=key)).text)
    thread = thread_id(streamed)
    by_op = await app.chatkit(op("threads.get_by_id", thread_id=thread))
    listed = await app.chatkit(op("items.list", thread_id=thread, order="asc"))
    by_rest = await app.http.get(f"/api/threads/{thread}/items", params={"order": "asc"})
    items = [
        *(event["item"] for event in (*streamed, *replayed) if event["type"] == "thread.item.done"),
        *by_op.json()["items"]["data"],
        *listed.json()["data"],
        *by_rest.json()["data"],
    ]
    sent_photos = [photo for item in items for photo in item.get("attachments", [])]

    assert len(sent_photos) == 5
    for sent_photo in sent_photos:
        assert "upload_descriptor" not in sent_photo
        assert "metadata" not in sent_photo
        assert (await app.http.get(sent_photo["preview_url"])).content == PNG
    stored = await rows(app, "data") + await rows(app, "data", "items")
    assert not [data for data in stored if "token=" in data]


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        (None, "http://localhost:8000/api/attachments/"),
        ("https://chat.example.com/", "https://chat.example.com/api/attachments/"),
        ("https://example.com/chat", "https://example.com/chat/api/attachments/"),
    ],
)
async def test_links_begin_with_the_public_url(public_url: str | None, expected: str) -> None:
    settings = make_settings(database_url="sqlite:///:memory:", public_url=public_url)
    async with running_app(settings) as app:
        at_once = await uploaded(app)
        announced_ = await announced(app)
        described = await _stored(app, at_once)

    links = [
        at_once["preview_url"],
        announced_["preview_url"],
        announced_["upload_descriptor"]["url"],
        described["url"],
    ]
    assert all(link.startswith(expected) for link in links)


async def test_a_file_of_another_thread_is_refused(app: Running) -> None:
    photo = await uploaded(app)
    await _open(app, photo)

    response = await app.chatkit(sent("Look again", photo))

    assert response.status_code == 409
    assert "Upload it again" in response.json()["detail"]
    assert len((await app.chatkit(op("threads.list"))).json()["data"]) == 1


async def test_a_message_may_have_a_limited_number_of_different_attachments(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTACHMENT_MAX_PER_MESSAGE", "2")
    async with running_app(settings) as app:
        photos = [await uploaded(app) for _ in range(3)]

        many = await app.chatkit(sent("Look", *photos))
        twice = await app.chatkit(sent("Look", photos[0], photos[0]))

        assert [many.status_code, twice.status_code] == [400, 400]
        assert (await app.chatkit(op("threads.list"))).json()["data"] == []
        await _open(app, *photos[:2])


async def test_the_number_of_unsent_files_is_limited(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTACHMENT_MAX_WAITING", "2")
    async with running_app(settings) as app:
        first = await uploaded(app)
        await announced(app)

        refused = [await upload(app, PNG), await announce(app, len(PNG))]
        assert [response.status_code for response in refused] == [409, 409]
        assert "Send or delete some first" in refused[0].json()["detail"]
        assert len(stored_bytes()) == 1

        await _open(app, first)
        assert (await upload(app, PNG)).status_code == 200


async def test_an_unsent_file_is_deleted_with_its_bytes(app: Running) -> None:
    photo, kept, waiting = await uploaded(app), await uploaded(app), await announced(app)

    for attachment in (photo, waiting):
        request = op("attachments.delete", attachment_id=attachment["id"])
        assert (await app.chatkit(request)).status_code == 200
        assert (await app.chatkit(request)).status_code == 404

    assert await rows(app) == [kept["id"]]
    assert await rows(app, "key", "dead_blobs") == []
    assert stored_bytes() == [kept["id"]]
    assert (await put(app, waiting, PNG)).status_code == 404


async def test_a_sent_file_is_deleted_with_its_thread(app: Running) -> None:
    photo = await uploaded(app)
    thread = await _open(app, photo)

    alone = await app.chatkit(op("attachments.delete", attachment_id=photo["id"]))
    assert alone.status_code == 409
    assert "delete the thread" in alone.json()["detail"]
    assert (await app.http.get(photo["preview_url"])).content == PNG

    assert (await app.http.delete(f"/api/threads/{thread}")).status_code == 204
    assert await rows(app) == []
    assert await rows(app, "key", "dead_blobs") == []
    assert stored_bytes() == []
    assert (await app.http.get(photo["preview_url"])).status_code == 404


async def test_files_that_were_never_sent_are_swept_with_their_bytes(app: Running) -> None:
    photo, _ = await uploaded(app), await announced(app)
    await _open(app, await uploaded(app, GIF, "photo.gif", "image/gif"))
    database = app.services.database
    own = AttachmentsSettings()
    uploads = Uploads(database, Blobs(app.services.settings), Inspector(own), own, 1024**3)

    await uploads.sweep()
    assert len(await rows(app)) == 3

    await database.write(run_sql, "UPDATE attachments SET created_at = created_at - 25 * 3600")
    await uploads.sweep()
    (sent_photo,) = await rows(app)
    assert sent_photo != photo["id"]
    assert stored_bytes() == [sent_photo]
    assert await rows(app, "key", "dead_blobs") == []


async def test_a_later_message_takes_more_attachments(app: Running) -> None:
    thread = await _open(app, await uploaded(app))
    later = await uploaded(app, GIF, "later.gif", "image/gif")

    request = op("threads.add_user_message", thread_id=thread, input=message("And", later["id"]))
    assert events((await app.chatkit(request)).text)[0]["item"]["attachments"][0]["id"]

    assert await rows(app, "thread_id") == [thread, thread]


async def test_files_are_exported_and_erased_with_their_user(stored_app: Running) -> None:
    large = b"x" * 250_000
    in_a_message = await uploaded(stored_app, large, "long.txt", "text/plain")
    waiting = await uploaded(stored_app, PDF, "paper.pdf", "application/pdf")
    await _open(stored_app, in_a_message)

    export = (await stored_app.http.get("/api/me/data")).text
    erased = (await stored_app.http.delete("/api/me/data")).json()

    lines = [json.loads(line) for line in export.splitlines()]
    for attachment, content in ((in_a_message, large), (waiting, PDF)):
        pieces = [line for line in lines if line.get("file") == attachment["id"]]
        assert b"".join(b64decode(piece["base64"]) for piece in pieces) == content
        assert pieces[-1]["offset"] == sum(len(b64decode(p["base64"])) for p in pieces[:-1])
    assert erased["attachments"] == 2
    assert await stored_app.services.blobs.keys("local") == []
    assert len((await stored_app.http.get("/api/me/data")).text.splitlines()) == 1


@pytest.fixture
def broken_storage(tmp_path: Path) -> None:
    """Put a file where the folder should be."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/uploads").touch()


@pytest.mark.usefixtures("broken_storage")
async def test_a_storage_failure_is_reported_and_leaves_no_row(settings: Settings) -> None:
    async with running_app(settings) as app:
        at_once = await upload(app, PNG)
        waiting = await announced(app)
        later = await put(app, waiting, PNG)

        assert [at_once.status_code, later.status_code] == [503, 503]
        assert "file storage" in at_once.json()["detail"]
        assert await rows(app, "id, size") == [(waiting["id"], None)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_memory_stays_flat_and_the_log_has_no_token(tmp_path: Path) -> None:
    size = 100 * MIB

    def content() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * MIB

    def peak() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    def transfer(number: int, chunks: Any) -> None:
        body = op("attachments.create", name="a.txt", size=number, mime_type="text/plain")
        descriptor = http.post("/chatkit", json=body).json()
        url = descriptor["upload_descriptor"]["url"]
        http.put(url, content=chunks).raise_for_status()
        stored = http.get(f"/api/attachments/{descriptor['id']}").json()
        with http.stream("GET", stored["url"]) as response:
            assert sum(len(chunk) for chunk in response.iter_raw()) == number

    with (
        running_server(tmp_path, UPLOAD_MAX_BYTES=str(size)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as http,
    ):
        transfer(MIB, b"x" * MIB)
        before = peak()
        transfer(size, content())
        with (tmp_path / "large").open("w+b") as file:
            file.truncate(size)
            file.write(PDF)
            file.seek(size - 8)
            file.write(b"%%EOF")
            file.seek(0)
            files = {"file": ("a.pdf", file, "application/pdf")}
            http.post("/api/attachments", files=files).raise_for_status()

        assert peak() - before < 64

    log = server.log.read_text()
    assert "/content?token=***" in log
    assert "token=ey" not in log
