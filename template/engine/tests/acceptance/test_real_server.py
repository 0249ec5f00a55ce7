"""Tests the command `serve` as a process, with real sockets, signals and a real model client."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from support.app import SECRET, Running, Server, running_app, running_server

from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, answer, create, events, op, thread_id
from chatkit_engine.testing.waiting import eventually

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}
SLOW = Reply("one two three four five six seven eight nine ten " * 20, word_seconds=0.05)


@pytest.fixture(scope="module")
def _started(  # pyright: ignore[reportUnusedFunction]
    tmp_path_factory: pytest.TempPathFactory, served_model_api: FakeModelApi
) -> Iterator[Server]:
    with _server(tmp_path_factory.mktemp("server"), served_model_api) as server:
        yield server


@pytest.fixture
def server(_started: Server, model_api: FakeModelApi) -> Server:
    """A server that the module's tests share, with the model's script at its start."""
    return _started


def _server(folder: Path, model_api: FakeModelApi) -> AbstractContextManager[Server]:
    return running_server(
        folder,
        OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL=model_api.url,
        LLM_MODEL="fake",
        THREAD_TITLES="false",
        SHUTDOWN_GRACE_SECONDS="0.2",
    )


async def _read_until(response: httpx2.Response, marker: str) -> str:
    read = ""
    async for text in response.aiter_text():
        read += text
        if marker in read:
            break
    return read


async def _texts(http: httpx2.AsyncClient, thread: str) -> list[str]:
    request = op("items.list", thread_id=thread, order="asc", limit=100)
    items = (await http.post("/chatkit", json=request)).json()["data"]
    return [item["content"][0]["text"].strip() for item in items]


async def test_a_client_that_drops_stops_the_model_and_the_answer_is_kept(
    server: Server, model_api: FakeModelApi
) -> None:
    bodies: dict[str, Json] = {
        "/chatkit": create("Count"),
        "/api/chat": {"message": "Count", "stream": True},
    }
    async with httpx2.AsyncClient(base_url=server.url, timeout=20) as http:
        for path, body in bodies.items():
            model_api.reset()
            model_api.script(SLOW)
            async with http.stream("POST", path, json=body) as response:
                await _read_until(response, "three")

            assert await asyncio.to_thread(model_api.dropped.wait, 5), path
            partial = await _newest_answer(http)
            assert partial.startswith("one two three")
            assert len(partial) < len(SLOW.text) / 2


async def test_a_json_client_that_gives_up_stops_the_model_too(
    server: Server, model_api: FakeModelApi
) -> None:
    model_api.script(SLOW)
    async with httpx2.AsyncClient(base_url=server.url) as http:
        with pytest.raises(httpx2.ReadTimeout):
            await http.post("/api/chat", json={"message": "Count"}, timeout=0.5)

        assert await asyncio.to_thread(model_api.dropped.wait, 5)
        assert (await _newest_answer(http)).startswith("one two three")


async def test_a_client_that_stops_reading_and_then_drops_loses_nothing(
    server: Server, model_api: FakeModelApi
) -> None:
    """More than the sockets' buffers hold: the server is held up, and let go by the drop."""
    long_word = "w" * 100
    model_api.script(Reply(f"{long_word} " * 30_000, hang_after_words=29_000))
    async with httpx2.AsyncClient(base_url=server.url, timeout=20) as http:
        async with http.stream("POST", "/chatkit", json=create("Much")) as response:
            await _read_until(response, long_word)
            await asyncio.sleep(0.5)

        assert await asyncio.to_thread(model_api.dropped.wait, 5)
        assert long_word in await _newest_answer(http)
        following = await http.post("/api/chat", json={"message": "Still there?"})
        assert following.status_code == 200


async def test_the_answer_is_streamed_while_it_is_generated(
    server: Server, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three", hang_after_words=2))
    async with (
        httpx2.AsyncClient(base_url=server.url, timeout=20) as http,
        http.stream("POST", "/chatkit", json=create("Count")) as response,
    ):
        assert "one" in await _read_until(response, "two")
        assert not model_api.dropped.is_set()


async def test_a_body_that_is_too_large_is_refused_and_the_server_goes_on(server: Server) -> None:
    async with httpx2.AsyncClient(base_url=server.url, timeout=20) as http:
        for path in ("/chatkit", "/api/chat"):
            for content in (b"x" * 20_000_000, _chunks(20_000_000)):
                response = await http.post(path, content=content, headers=JSON)
                assert response.status_code == 413
                assert "at most" in response.json()["detail"]

        assert (await http.get("/health/ready")).status_code == 200


async def test_fifty_users_at_once_lose_and_mix_up_nothing(with_model: Settings) -> None:
    values = with_model.model_dump() | {"auth_mode": "jwt", "jwt_secret": SECRET}
    settings = Settings.model_validate(values)

    async def converse(app: Running, name: str) -> list[str]:
        token = issue_token(settings, name, timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        first = await app.http.post("/api/chat", json={"message": f"{name} 0"}, headers=headers)
        thread = first.json()["thread_id"]
        for number in range(1, 4):
            body = {"message": f"{name} {number}", "thread_id": thread}
            await app.http.post("/api/chat", json=body, headers=headers)
        listed = await app.http.get(
            f"/api/threads/{thread}/items", params={"order": "asc"}, headers=headers
        )
        return [item["content"][0]["text"].strip() for item in listed.json()["data"]]

    names = [f"user-{number}" for number in range(50)]
    async with running_app(settings) as app:
        found = await asyncio.gather(*(converse(app, name) for name in names))

    for name, texts in zip(names, found, strict=True):
        assert texts == [f"{echo}{name} {n}" for n in range(4) for echo in ("", "echo: ")]


async def test_turns_beyond_a_users_limit_are_refused_and_not_stored(
    server: Server, model_api: FakeModelApi
) -> None:
    """The default is ten at once and ten that wait."""
    model_api.released.clear()
    limits = httpx2.Limits(max_connections=100)
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, limits=limits) as http:
        before = len(
            (await http.post("/chatkit", json=op("threads.list", limit=100))).json()["data"]
        )
        plain = {"message": "Hello"}
        asked = [
            asyncio.create_task(http.post("/api/chat", json=plain))
            if number % 2
            else asyncio.create_task(http.post("/chatkit", json=create("Hello")))
            for number in range(50)
        ]
        refused: list[httpx2.Response] = []
        for task in asyncio.as_completed(asked):
            refused.append(await task)
            if len(refused) == 50 - 20:
                break
        # Others are answered meanwhile.
        assert (await http.get("/health/live")).is_success
        model_api.released.set()
        statuses = [(await task).status_code for task in asked]
        added = await _count_threads(http) - before

    assert {answer.status_code for answer in refused} == {429}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert "Wait for one" in refused[0].json()["detail"]
    assert (statuses.count(200), statuses.count(429)) == (20, 30)
    assert added == 20


async def test_a_kill_and_a_stop_lose_nothing(server: Server, model_api: FakeModelApi) -> None:
    """The server is killed in the middle of a stream; the next is told to stop during ten."""
    model_api.default = SLOW
    async with (
        httpx2.AsyncClient(base_url=server.url, timeout=20) as http,
        http.stream("POST", "/chatkit", json=create("Remember")) as response,
    ):
        killed = thread_id(events(await _read_until(response, "three")))
        server.kill()

    with _server(server.folder, model_api) as restarted:
        async with httpx2.AsyncClient(base_url=restarted.url, timeout=20) as http:
            assert (await _texts(http, killed))[0] == "Remember"
            model_api.default = None
            again = await http.post("/chatkit", json=add(killed, "Go on"))
            assert answer(events(again.text)).strip() == "echo: Go on"
            model_api.default = SLOW
            streams = [asyncio.create_task(_read_all(http)) for _ in range(10)]
            await model_api.received(12)
            await asyncio.sleep(0.8)
            restarted.signal(signal.SIGTERM)
            stopped = await asyncio.gather(*streams)
            assert await asyncio.to_thread(restarted.process.wait, 20) in {0, -signal.SIGTERM}

    stored = Settings(database_url=f"sqlite:///{server.folder}/data/chat.db")
    async with running_app(stored) as app:
        for streamed in stopped:
            assert streamed[-1]["type"] == "error"
            question, partial = await _texts(app.http, thread_id(streamed))
            assert question == "Count"
            assert answer(streamed).strip() in partial
    assert "Traceback" not in restarted.log.read_text()


async def _chunks(size: int) -> AsyncGenerator[bytes]:
    """Send a body that does not say its size."""
    for _ in range(size // 100_000):
        yield b"x" * 100_000


async def _read_all(http: httpx2.AsyncClient) -> list[Json]:
    return events((await http.post("/chatkit", json=create("Count"))).text)


async def _newest_answer(http: httpx2.AsyncClient) -> str:
    """Wait for the newest thread's answer to be stored, and return it."""
    found: list[str] = []

    async def is_stored() -> bool:
        thread = (await http.get("/api/threads")).json()["data"][0]["id"]
        found[:] = await _texts(http, thread)
        return len(found) == 2

    await eventually(is_stored)
    return found[1]


async def _count_threads(http: httpx2.AsyncClient) -> int:
    return len((await http.post("/chatkit", json=op("threads.list", limit=100))).json()["data"])
