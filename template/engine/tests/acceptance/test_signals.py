"""Tests what signals do to the command `serve` while it answers, over real sockets."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from support.app import Server, running_app, running_server

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, answer, create, events, thread_id
from chatkit_engine.testing.waiting import eventually

pytestmark = pytest.mark.slow

HANGING = Reply("one two three four", hang_after_words=3)
# The grace time is far longer, so only what ends it lets the server end by then.
END_SECONDS, GRACE_SECONDS = 30, 300


@asynccontextmanager
async def _answering(
    folder: Path, model_api: FakeModelApi, grace_seconds: float
) -> AsyncGenerator[tuple[Server, asyncio.Task[list[Json]]]]:
    """Yield a server in the middle of an answer, and the task that reads it to its end."""
    model_api.script(HANGING)
    with running_server(
        folder,
        OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL=model_api.url,
        LLM_MODEL="fake",
        THREAD_TITLES="false",
        SHUTDOWN_GRACE_SECONDS=str(grace_seconds),
    ) as server:
        begun = asyncio.Event()

        async def read() -> list[Json]:
            text = ""
            async with (
                httpx2.AsyncClient(base_url=server.url, timeout=60) as http,
                http.stream("POST", "/chatkit", json=create("Count")) as response,
            ):
                async for part in response.aiter_text():
                    text += part
                    if "three" in text:
                        begun.set()
            return events(text)

        reading = asyncio.create_task(read())
        async with asyncio.timeout(END_SECONDS):
            await begun.wait()
        yield server, reading


async def _expect_saved_end(server: Server, reading: asyncio.Task[list[Json]]) -> None:
    async with asyncio.timeout(END_SECONDS):
        streamed = await reading
    await asyncio.to_thread(server.process.wait, END_SECONDS)
    stored = Settings(database_url=f"sqlite:///{server.folder}/data/chat.db")
    async with running_app(stored) as app:
        _question, partial = await app.items(thread_id(streamed))
    assert streamed[-1]["type"] == "error"
    assert answer(streamed).strip() == "one two three"
    assert partial["content"][0]["text"].strip() == "one two three"
    assert "Traceback" not in server.log.read_text()


async def test_a_second_signal_ends_the_grace_time_and_saves(
    tmp_path: Path, model_api: FakeModelApi
) -> None:
    async with _answering(tmp_path, model_api, GRACE_SECONDS) as (server, reading):
        server.signal(signal.SIGTERM)

        async def is_waiting() -> bool:
            return "waiting for running turns" in server.log.read_text()

        await eventually(is_waiting)
        assert not reading.done()

        server.signal(signal.SIGINT)

        await _expect_saved_end(server, reading)


async def test_a_hangup_is_a_termination(tmp_path: Path, model_api: FakeModelApi) -> None:
    async with _answering(tmp_path, model_api, 0.2) as (server, reading):
        server.signal(signal.SIGHUP)

        await _expect_saved_end(server, reading)
        assert server.process.returncode == -signal.SIGHUP
