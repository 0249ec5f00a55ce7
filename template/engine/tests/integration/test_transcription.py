"""Tests transcription of recorded speech, from the front end to the provider."""

import asyncio
from base64 import b64encode
from typing import Any

import httpx2
import pytest
from support.app import Running, running_app, with_provider

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import op

SPEECH = b"OggS and so on"


async def _transcribe(
    app: Running, data: bytes = SPEECH, mime_type: str = "audio/webm;codecs=opus"
) -> httpx2.Response:
    audio = b64encode(data).decode()
    return await app.chatkit(op("input.transcribe", audio_base64=audio, mime_type=mime_type))


async def test_speech_becomes_text(app_with_model: Running, model_api: FakeModelApi) -> None:
    model_api.script(Reply("what was said"))

    response = await _transcribe(app_with_model)

    assert response.json() == {"text": "what was said"}
    assert model_api.recordings == [("gpt-4o-mini-transcribe", "speech.webm", SPEECH)]


@pytest.mark.parametrize(
    ("provider", "values", "model"),
    [
        ("groq", {"groq_api_key": "a-key"}, "whisper-large-v3-turbo"),
        ("custom", {"transcription_model": "mine"}, "mine"),
        ("openai", {"transcription_model": "mine"}, "mine"),
    ],
)
async def test_each_provider_has_its_model_unless_another_is_named(
    settings: Settings, model_api: FakeModelApi, provider: str, values: dict[str, Any], model: str
) -> None:
    async with running_app(with_provider(settings, model_api, provider, **values)) as app:
        response = await _transcribe(app, mime_type="AUDIO/MPEG")

    assert response.status_code == 200
    assert model_api.recordings == [(model, "speech.mp3", SPEECH)]


@pytest.mark.parametrize("provider", ["custom", "openrouter"])
async def test_a_provider_without_such_a_model_says_so(
    settings: Settings, model_api: FakeModelApi, provider: str
) -> None:
    chosen = with_provider(settings, model_api, provider, openrouter_api_key="a-key")
    async with running_app(chosen) as app:
        response = await _transcribe(app)

    assert response.status_code == 400
    assert "does not transcribe" in response.json()["detail"]


async def test_the_demo_does_not_transcribe(app: Running) -> None:
    assert (await _transcribe(app)).status_code == 400


@pytest.mark.parametrize(
    ("data", "mime_type", "status", "says"),
    [
        (SPEECH, "video/mp4", 415, "audio/webm"),
        (SPEECH, "nonsense", 415, "audio/webm"),
        (b"", "audio/webm", 400, "empty"),
    ],
)
async def test_audio_that_is_not_speech_is_refused_with_a_message(
    app_with_model: Running,
    model_api: FakeModelApi,
    data: bytes,
    mime_type: str,
    status: int,
    says: str,
) -> None:
    response = await _transcribe(app_with_model, data, mime_type)

    assert response.status_code == status
    assert says in response.json()["detail"]
    assert model_api.recordings == []


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(400, 502, "model_failed"), (429, 503, "model_busy"), (500, 503, "model_busy")],
)
async def test_a_failure_is_reported_without_its_text(
    app_with_model: Running, model_api: FakeModelApi, failure: int, status: int, code: str
) -> None:
    model_api.script(Reply(status=failure))

    response = await _transcribe(app_with_model)

    assert response.status_code == status
    assert response.json()["code"] == code
    assert "scripted" not in response.text


async def test_a_busy_provider_is_retried(settings: Settings, model_api: FakeModelApi) -> None:
    model_api.script(Reply(status=429, headers={"retry-after-ms": "1"}), Reply("at last"))
    chosen = with_provider(settings, model_api, "openai", llm_max_retries=1)

    async with running_app(chosen) as app:
        response = await _transcribe(app)

    assert response.json() == {"text": "at last"}


async def test_transcriptions_count_as_turns_of_the_user(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    """The default is ten at once and ten that wait."""
    model_api.released.clear()
    asked = [asyncio.create_task(_transcribe(app_with_model)) for _ in range(25)]
    refused: list[httpx2.Response] = []
    for task in asyncio.as_completed(asked):
        refused.append(await task)
        if len(refused) == 25 - 20:
            break
    model_api.released.set()
    statuses = [(await task).status_code for task in asked]

    assert {response.status_code for response in refused} == {429}
    assert refused[0].headers["Retry-After"]
    assert (statuses.count(200), statuses.count(429)) == (20, 5)
    assert len(model_api.recordings) == 20
    assert (await _transcribe(app_with_model)).status_code == 200
