"""Idle, slow and too many connections, and the headers of every answer, over real sockets."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import httpx2
import pytest
from support.app import SECRET, Server, make_settings, running_server
from support.sockets import SECONDS, connected

from chatkit_engine.testing.app import bearer

pytestmark = pytest.mark.slow

LIMIT = 20
TIMED_OUT = b"HTTP/1.1 408 Request Timeout"
HEADERS = {"x-content-type-options", "content-security-policy", "cache-control", "referrer-policy"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("connections"),
        AUTH_MODE="jwt",
        JWT_SECRET=SECRET,
        MAX_CONNECTIONS=str(LIMIT),
        CONNECTION_TIMEOUT_SECONDS="2",
    ) as running:
        yield running


async def test_a_client_that_falls_silent_is_closed(server: Server) -> None:
    async def fall_silent(sent: bytes) -> bytes:
        async with connected(server.url) as connection:
            await connection.send(sent)
            return (await connection.rest()).partition(b"\r\n")[0]

    answers = {
        b"": b"",
        b"\r\n": b"",
        b"G": TIMED_OUT,
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: ": TIMED_OUT,
    }
    assert await asyncio.gather(*map(fall_silent, answers)) == [*answers.values()]


async def test_bytes_that_begin_no_request_keep_no_connection_open(server: Server) -> None:
    async with connected(server.url) as connection:
        await connection.request("GET", "/health/live", {})
        assert await connection.status() == 200
        await connection.reader.readexactly(len(b'{"status":"ok"}'))
        async with asyncio.timeout(SECONDS):
            while not connection.reader.at_eof():
                await connection.send(b"\r\n")
                with suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(connection.reader.read(1), 0.2)


async def test_a_head_without_an_end_is_refused(server: Server) -> None:
    for start in (b"GET /", b"GET / HTTP/1.1\r\nX-Long: ", b"GET / HTTP/1.1\r\n"):
        async with connected(server.url) as connection:
            await connection.send(start)
            for _ in range(8):
                await connection.send(b"x" * 16_000)
            assert await connection.status() in {400, 431}


async def test_newcomers_are_served_while_idle_connections_use_up_the_limit(
    server: Server,
) -> None:
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(server.url)) for _ in range(3 * LIMIT)]
        async with httpx2.AsyncClient() as http:
            for _ in range(3):
                assert (await http.get(f"{server.url}/health/live")).status_code == 200
        assert await idle[0].rest() == b""

    log = server.log.read_text()
    assert log.count("too many connections") == 1


async def test_each_answer_has_security_headers_and_does_not_name_the_server(
    server: Server,
) -> None:
    ada = bearer(make_settings(auth_mode="jwt", jwt_secret=SECRET), "ada")
    large = {"Content-Length": "99999999", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=server.url) as http:
        answers = [
            await http.get("/health/live"),
            await http.get("/nowhere"),
            await http.get("/chatkit"),
            await http.get("/api/threads"),
            await http.get("/api/threads", headers=ada),
            await http.get("/api/me/data", headers=ada),
            await http.get("/api/images/img_1", params={"token": "x"}),
            await http.get("/docs"),
            await http.post("/api/chat", json={"message": "Hi", "stream": True}, headers=ada),
            await http.options("/chatkit", headers={"Origin": "https://evil.example"}),
        ]
    for answer in answers:
        assert set(answer.headers) >= HEADERS, answer.url
        assert "server" not in answer.headers
    assert "no-store" in answers[4].headers["cache-control"]
    for method, path, headers in (("POST", "/chatkit", large), ("BAD METHOD", "/", {})):
        async with connected(server.url) as connection:
            await connection.request(method, path, headers)
            head = await connection.head()
            assert all(f"\n{name}: " in head for name in HEADERS), head


async def test_a_packet_of_a_thousand_requests_ends_its_connection(server: Server) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with connected(server.url) as few, connected(server.url) as many:
        await few.send(request * 10)
        await many.send(request * 1_000)

        answered = (await many.rest()).count(b"HTTP/1.1 200")
        kept = [await few.status() for _ in range(10)]

    assert answered < 100
    assert kept == [200] * 10
