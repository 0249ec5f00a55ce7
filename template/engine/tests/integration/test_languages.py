"""Errors are in the user's language, in problem bodies and in streams."""

import asyncio
from typing import Any

import pytest
from chatkit.errors import ErrorCode
from chatkit.types import ErrorEvent
from support.app import Running, make_settings, running_app

from chatkit_engine.assistant.failures import UNREACHABLE
from chatkit_engine.errors import ThreadBusy
from chatkit_engine.http.plain_events import FAILED, PlainEvents
from chatkit_engine.i18n import translate
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import add, create, events, named_events, op, thread_id
from chatkit_engine.turns.turn import RESTARTING

ENGLISH = [None, "en-GB", "fr", "de;q=0.1, en", "de;q=much", ";;;,,,", "de;q=0"]
GERMAN = ["de", "de-AT", "fr, de;q=0.5, en;q=0.4"]
LANGUAGES = [*((header, "en") for header in ENGLISH), *((header, "de") for header in GERMAN)]


def _asking(header: str | None) -> dict[str, str]:
    return {} if header is None else {"Accept-Language": header}


@pytest.mark.parametrize(("header", "language"), LANGUAGES)
async def test_a_refusal_is_in_the_language_that_the_header_ranks_first(
    app: Running, header: str | None, language: str
) -> None:
    body = op("threads.get_by_id", thread_id="thr_unknown")

    for response in [
        await app.http.post("/chatkit", json=body, headers=_asking(header)),
        await app.http.get("/api/threads/thr_unknown", headers=_asking(header)),
    ]:
        assert response.status_code == 404
        assert response.json()["detail"] == translate("This does not exist.", language)
        assert response.headers["content-language"] == language
        assert "Accept-Language" in response.headers["vary"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "english", "german"),
    [
        ("GET", "/nowhere", None, 404, "nothing at this path", "gibt es nichts"),
        ("PUT", "/chatkit", {}, 405, "not support this method", "unterstützt diese Methode nicht"),
        ("POST", "/chatkit", {}, 400, "not a ChatKit request", "keine ChatKit-Anfrage"),
        ("POST", "/chatkit", op("items.list", thread_id="t", limit=0), 400, "to 1000", "und 1000"),
        ("POST", "/api/chat", {"message": ""}, 422, "are invalid", "sind ungültig"),
        ("POST", "/api/chat", {"message": "x" * 5000}, 413, "at most 1024", "höchstens 1024"),
    ],
)
async def test_every_kind_of_refusal_is_translated(
    method: str, path: str, body: Any, status: int, english: str, german: str
) -> None:
    settings = make_settings(database_url="sqlite:///:memory:", max_body_bytes=1024)
    async with running_app(settings) as app:
        for header, words in (("en", english), ("de", german)):
            response = await app.http.request(method, path, json=body, headers=_asking(header))

            assert response.status_code == status
            assert words in response.json()["detail"]
            assert response.headers["content-language"] == header


@pytest.mark.parametrize("language", ["en", "de"])
async def test_a_busy_thread_is_told_in_the_users_language(
    with_model: Settings, model_api: FakeModelApi, language: str
) -> None:
    async with running_app(with_model) as app:
        thread = (await app.http.post("/api/chat", json={"message": "Hi"})).json()["thread_id"]
        model_api.script(Reply("a slow answer", word_seconds=0.2))
        first = asyncio.create_task(app.chatkit(add(thread, "slow")))
        await model_api.received(2)

        body, headers = {"message": "now", "thread_id": thread}, _asking(language)
        plain = await app.http.post("/api/chat", json=body, headers=headers)
        chatkit = await app.http.post("/chatkit", json=add(thread, "now"), headers=headers)
        await first

    expected = translate(ThreadBusy().detail, language)
    assert (plain.status_code, plain.json()["detail"]) == (409, expected)
    assert events(chatkit.text)[0]["message"] == expected


@pytest.mark.parametrize("language", ["en", "de"])
async def test_a_model_that_fails_is_told_in_the_users_language(
    app_with_model: Running, model_api: FakeModelApi, language: str
) -> None:
    model_api.default = Reply(status=500)
    headers, expected = _asking(language), translate(UNREACHABLE, language)

    chatkit = await app_with_model.http.post("/chatkit", json=create("Hi"), headers=headers)
    plain = await app_with_model.http.post("/api/chat", json={"message": "Hi"}, headers=headers)
    streamed = await app_with_model.http.post(
        "/api/chat", json={"message": "Hi", "stream": True}, headers=headers
    )

    assert [e["message"] for e in events(chatkit.text) if e["type"] == "error"] == [expected]
    assert (plain.status_code, plain.json()["detail"]) == (502, expected)
    told = [data for name, data in named_events(streamed.text) if name == "error"]
    assert [data["message"] for data in told] == [expected]


def test_an_error_without_a_text_gets_one_in_the_users_language() -> None:
    event = ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)

    assert translate(FAILED, "de") in PlainEvents("de").encode(event).decode()


async def test_a_server_that_restarts_says_so_to_each_user_in_their_language(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(with_model) as app:
        model_api.default = Reply("one two three", hang_after_words=1)
        asked = [
            asyncio.create_task(
                app.http.post("/chatkit", json=create("Hi"), headers=_asking(language))
            )
            for language in ("en", "de")
        ]
        await model_api.received(2)
        await app.chat_service.turns.drain(grace_seconds=0)
        streams = [events((await response).text) for response in asked]

    assert [stream[-1]["message"] for stream in streams] == [
        translate(RESTARTING, language) for language in ("en", "de")
    ]
    assert len({thread_id(stream) for stream in streams}) == 2
