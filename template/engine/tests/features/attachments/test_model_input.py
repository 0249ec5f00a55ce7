"""Tests which content of attachments the model's API receives."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from features.attachments.files import (
    GIF,
    PDF,
    PNG,
    image,
    sent,
    stored_bytes,
    uploaded,
)
from support.app import Running, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.requests import Json, add, events, message, op, thread_id


def _data_url(type_: str, content: bytes) -> str:
    return f"data:{type_};base64,{b64encode(content).decode()}"


def _parts(api: FakeModelApi) -> list[Json]:
    """Return the newest request's user messages, part by part."""
    items: list[Json] = api.requests[-1]["input"]
    return [part for item in items if item["role"] == "user" for part in item["content"]]


async def _text(app: Running, content: bytes, name: str = "a.txt") -> Json:
    return await uploaded(app, content, name, "text/plain")


async def test_the_model_gets_images_pdfs_and_texts(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    app = app_with_model
    photo = await uploaded(app)
    paper = await uploaded(app, PDF, "paper.pdf", "application/pdf")
    text = await uploaded(app, "Grüße".encode(), "hello.md", "text/markdown")

    await app.chatkit(sent("Look at these", photo, paper, text))

    assert _parts(model_api) == [
        {"type": "input_text", "text": "Look at these"},
        {"type": "input_image", "detail": "auto", "image_url": _data_url("image/png", PNG)},
        {
            "type": "input_file",
            "filename": "paper.pdf",
            "file_data": _data_url("application/pdf", PDF),
        },
        {"type": "input_text", "text": "File 'hello.md':\nGrüße"},
    ]


async def test_later_turns_get_attachments_again(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    streamed = events(
        (await app_with_model.chatkit(sent("Look", await uploaded(app_with_model)))).text
    )

    await app_with_model.chatkit(add(thread_id(streamed), "And now?"))

    assert [part["type"] for part in _parts(model_api)] == [
        "input_text",
        "input_image",
        "input_text",
    ]


async def test_a_file_that_is_named_again_is_not_repeated(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    photo = await uploaded(app_with_model)
    thread = thread_id(events((await app_with_model.chatkit(sent("Look", photo))).text))

    again = message("Look again", photo["id"])
    await app_with_model.chatkit(op("threads.add_user_message", thread_id=thread, input=again))

    parts = _parts(model_api)
    assert [part["type"] for part in parts].count("input_image") == 1
    assert parts[1]["type"] == "input_image"
    assert "'photo.png'" in parts[-1]["text"]


async def test_a_text_is_cut_at_the_end_of_the_budget(
    with_model: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTACHMENT_MAX_TOKENS", "10")
    async with running_app(with_model) as app:
        await app.chatkit(sent("Look", await _text(app, "é".encode() * 100)))

    assert _parts(model_api)[1]["text"] == (
        f"File 'a.txt':\n{'é' * 20}\n"
        "(The rest of the file was left out: it is too large for the model's input.)"
    )


async def test_the_newest_files_come_first_in_the_budget(
    with_model: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTACHMENT_MAX_TOKENS", "100")
    async with running_app(with_model) as app:
        old = await _text(app, b"o" * 400, "old.txt")
        thread = thread_id(events((await app.chatkit(sent("One", old))).text))
        new = await _text(app, b"n" * 360, "new.txt")
        request = message("Two", new["id"])
        await app.chatkit(op("threads.add_user_message", thread_id=thread, input=request))

    texts = [part["text"] for part in _parts(model_api)]
    assert "n" * 360 in texts[-1]
    assert texts[1].count("o") < 50
    assert "The rest of the file was left out" in texts[1]


@pytest.mark.parametrize(
    ("content", "name", "type_"),
    [
        (image("PNG", (2000, 2000)), "large.png", "image/png"),
        (PDF + b" " * 900 + PDF + PDF * 100, "large.pdf", "application/pdf"),
    ],
)
async def test_an_image_or_pdf_beyond_the_budget_becomes_a_note(
    with_model: Settings,
    model_api: FakeModelApi,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    name: str,
    type_: str,
) -> None:
    monkeypatch.setenv("ATTACHMENT_MAX_TOKENS", "80")
    async with running_app(with_model) as app:
        await app.chatkit(sent("Look", await uploaded(app, content, name, type_)))

    assert _parts(model_api)[1:] == [
        {
            "type": "input_text",
            "text": f"(The file '{name}' was left out: it is too large for the model's input.)",
        }
    ]


async def test_missing_bytes_become_a_note(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    app = app_with_model
    photo = await uploaded(app, GIF, "photo.gif", "image/gif")
    _lose_all()

    streamed = events((await app.chatkit(sent("Look", photo))).text)

    assert streamed[-1]["type"] == "thread.item.done"
    (note,) = [part for part in _parts(model_api) if "photo.gif" in part["text"]]
    assert note["text"] == "(The file 'photo.gif' was left out: its content is no longer stored.)"


def _lose_all() -> None:
    for name in stored_bytes():
        (path,) = Path("data/uploads").rglob(name)
        path.unlink()


async def test_the_demo_model_answers_a_message_with_files(app: Running) -> None:
    files: list[Any] = [
        await uploaded(app),
        await uploaded(app, PDF, "paper.pdf", "application/pdf"),
        await _text(app, b"hello"),
    ]

    streamed = events((await app.chatkit(sent("Look", *files))).text)

    assert streamed[-1]["type"] == "thread.item.done"
    assert streamed[-1]["item"]["type"] == "assistant_message"
