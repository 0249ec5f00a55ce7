"""Bodies of strangers, slow senders and large JSON, over real sockets."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import product

import httpx2
import pytest
from support.app import SECRET, Server, make_settings, running_server
from support.sockets import Connection, connected

from chatkit_engine.testing.app import bearer
from chatkit_engine.testing.requests import op

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}
SETTINGS = make_settings(auth_mode="jwt", jwt_secret=SECRET)
LARGE = 300_000
UNKNOWN_FIELD = b'{"type": "threads.list", "params": {}, "unknown": '
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PROTECTED = {
    "/chatkit": JSON,
    "/api/chat": JSON,
    "/mcp": JSON,
    "/api/attachments": FORM,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("bodies"),
        AUTH_MODE="jwt",
        JWT_SECRET=SECRET,
        MAX_BODIES_BYTES="1000000",
        BODY_TIMEOUT_SECONDS="3",
    ) as running:
        yield running


async def _list_threads(server: Server, user: str) -> int:
    async with httpx2.AsyncClient(base_url=server.url) as http:
        return (
            await http.post("/chatkit", json=op("threads.list"), headers=bearer(SETTINGS, user))
        ).status_code


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("framing", ["Content-Length: 3900000", "Transfer-Encoding: chunked"])
async def test_a_stranger_is_refused_before_the_body_and_the_connection_is_closed(
    server: Server, path: str, framing: str
) -> None:
    name, _colon, value = framing.partition(": ")
    async with connected(server.url) as connection:
        await connection.request("POST", path, PROTECTED[path] | {name: value})

        head = await connection.head()

        assert head.startswith("http/1.1 401")
        assert "connection: close" in head
        await connection.rest()


@pytest.mark.parametrize("path", ["/chatkit", "/api/chat", "/mcp"])
async def test_a_strangers_invalid_json_is_a_401(server: Server, path: str) -> None:
    for body in (b'{"', b"[" * 1000, b"\xff"):
        async with httpx2.AsyncClient(base_url=server.url) as http:
            response = await http.post(path, content=body, headers=JSON)

        assert response.status_code == 401


async def test_a_body_without_an_end_is_not_read_on(server: Server) -> None:
    """The answer is given at the limit, and the server takes little more than that."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    async with connected(server.url) as connection:
        headers = JSON | bearer(SETTINGS, "ada") | {"Transfer-Encoding": "chunked"}
        await connection.request("POST", "/chatkit", headers)
        sent = await _send_until_closed(connection, chunk, at_most=1000)

    assert sent < 1000


async def _send_until_closed(connection: Connection, chunk: bytes, at_most: int) -> int:
    for number in range(at_most):
        if connection.reader.at_eof() or connection.writer.is_closing():
            return number
        connection.writer.write(chunk)
        try:
            await connection.writer.drain()
        except ConnectionError:
            return number
    return at_most


async def test_a_sender_that_stops_is_told_so_and_closed(server: Server) -> None:
    async def stop(path: str, framing: dict[str, str]) -> str:
        async with connected(server.url) as connection:
            await connection.request("POST", path, JSON | bearer(SETTINGS, "ada") | framing)
            head = await connection.head()
            await connection.rest()
            return head

    framings: tuple[dict[str, str], ...] = (
        {"Content-Length": "2"},
        {"Content-Length": "90000"},
        {"Transfer-Encoding": "chunked"},
    )
    cases = product(("/chatkit", "/api/chat", "/mcp"), framings)
    for head in await asyncio.gather(*(stop(*case) for case in cases)):
        assert head.startswith("http/1.1 408")
        assert "connection: close" in head


async def test_bodies_have_a_bounded_memory_of_which_one_user_gets_a_part(server: Server) -> None:
    half_a_share = JSON | {"Content-Length": str(LARGE)}
    body = b" " * 120_000
    async with AsyncExitStack() as stack:

        async def send(user: str) -> Connection:
            connection = await stack.enter_async_context(connected(server.url))
            await connection.request(
                "POST", "/chatkit", half_a_share | bearer(SETTINGS, user), body
            )
            return connection

        by_one = [await send("greedy") for _ in range(4)]
        first = await _first_head(by_one)
        assert first.startswith("http/1.1 503")
        assert "retry-after" in first
        assert await _list_threads(server, "ada") == 200
        assert await _list_threads(server, "greedy") == 200

        by_many = [await send(f"user-{number}") for number in range(12)]
        assert (await _first_head(by_many)).startswith("http/1.1 503")
        assert await _list_threads(server, "ada") == 200


async def _first_head(connections: list[Connection]) -> str:
    tasks = [asyncio.create_task(each.head()) for each in connections]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return done.pop().result()


SHAPES = {
    "wide": (b"[" + b"[[]]," * 20_000 + b"1]", "values"),
    "an object": (b"{" + b'"a":1,' * 20_000 + b'"b":1}', "values"),
    "strings": (b"[" + b'"",' * 20_000 + b"1]", "values"),
    "deep": (b"[" * 100 + b"]" * 100, "levels"),
    "deep objects": (b'{"a":' * 100 + b"1" + b"}" * 100, "levels"),
    "a long number": (b"1" * 20_000, "digits"),
    "infinity": (b"-Infinity", "Infinity"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", ["/chatkit", "/api/chat", "/mcp"])
async def test_the_shape_of_json_is_bounded_on_every_route(
    server: Server, path: str, shape: str
) -> None:
    value, names = SHAPES[shape]
    async with httpx2.AsyncClient(base_url=server.url) as http:
        response = await http.post(
            path, content=UNKNOWN_FIELD + value + b"}", headers=JSON | bearer(SETTINGS, "ada")
        )

    assert response.status_code == 400
    assert names in response.json()["detail"]
