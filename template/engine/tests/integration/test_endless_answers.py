"""Tests model servers that never stop sending, over a real socket in both wire formats."""

from base64 import b64encode
from typing import Any

import pytest
from support.app import running_app, with_provider

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import answer, create, events, op, text_of, thread_id

Json = dict[str, Any]
PING = b": ping\n\n"


def _with(settings: Settings, **values: Any) -> Settings:
    return Settings.model_validate(settings.model_dump() | values)


async def _ask(settings: Settings) -> tuple[list[Json], str]:
    """Return the events of a turn, and the text of its answer as it was stored."""
    async with running_app(settings) as app:
        streamed = events((await app.chatkit(create("Hello"))).text)
        stored = await app.chatkit(
            op("items.list", thread_id=thread_id(streamed), order="asc", limit=10)
        )
    return streamed, "".join(text_of(item) for item in stored.json()["data"][1:])


@pytest.mark.parametrize(
    "endless",
    [PING, b"event: x\n", b": x\r\n\r\n", b'data: {"choices": []}\n\n', b"x"],
    ids=["comments", "fields", "carriage returns", "empty events", "one line"],
)
async def test_an_answer_ends_in_time_whatever_the_provider_sends(
    each_wire: Settings, model_api: FakeModelApi, endless: bytes
) -> None:
    model_api.default = Reply("one two", endless=endless, endless_seconds=0.01)

    streamed, stored = await _ask(_with(each_wire, llm_answer_timeout_seconds=0.3))

    assert streamed[-1]["type"] == "error"
    assert "too long" in streamed[-1]["message"]
    assert answer(streamed).strip() == stored.strip() == "one two"
    assert len(model_api.requests) == 1


async def test_comments_before_the_first_word_end_too_and_are_not_repeated(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(endless=PING, endless_seconds=0.01)

    streamed, stored = await _ask(_with(each_wire, llm_answer_timeout_seconds=0.5))

    assert "too long" in streamed[-1]["message"]
    assert not stored
    assert len(model_api.requests) == 1


@pytest.mark.parametrize(
    "endless",
    [b"x" * 65536, b"data: x\n" * 8192, b"\n" * 65536],
    ids=["a line without an end", "an event without an end", "empty lines"],
)
async def test_what_arrives_fast_is_bounded_in_size(
    each_wire: Settings, model_api: FakeModelApi, endless: bytes
) -> None:
    model_api.default = Reply("one two", endless=endless)

    streamed, stored = await _ask(each_wire)

    assert "too long and was cut off" in streamed[-1]["message"]
    assert stored.strip() == "one two"
    assert len(model_api.requests) == 1


async def test_text_that_never_ends_is_cut_off_and_kept(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(" ".join(["x" * 100_000] * 30))

    streamed, stored = await _ask(each_wire)

    assert "too long and was cut off" in streamed[-1]["message"]
    assert 1_000_000 < len(stored) <= 2_000_000


async def test_a_thousand_calls_in_one_answer_are_refused(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(calls=[("roll_dice", {"sides": 6})] * 1000)

    streamed, _ = await _ask(each_wire)

    assert "too long and was cut off" in streamed[-1]["message"]
    assert len(model_api.requests) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.01])
async def test_a_transcription_that_never_ends_is_an_error(
    settings: Settings, model_api: FakeModelApi, seconds: float
) -> None:
    model_api.default = Reply(endless=b" " * 65536, endless_seconds=seconds)
    limited = with_provider(settings, model_api, "openai", llm_answer_timeout_seconds=0.5)
    audio = b64encode(b"OggS").decode()

    async with running_app(limited) as app:
        response = await app.chatkit(
            op("input.transcribe", audio_base64=audio, mime_type="audio/webm")
        )

    assert response.status_code == 503
