"""A user's answers that nobody reads, or that are many, are few at once and delay no other user."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Message
from support.app import Running, running_app

from chatkit_engine.http.guard import PIECE_BYTES, in_pieces
from chatkit_engine.http.services import MAX_USER_READS
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import bearer, with_jwt
from chatkit_engine.testing.requests import create, op, thread_id

READS = {
    "a list": ("POST", "/chatkit", op("threads.list")),
    "items": ("POST", "/chatkit", op("items.list", thread_id="THREAD")),
    "a thread": ("POST", "/chatkit", op("threads.get_by_id", thread_id="THREAD")),
    "the plain list": ("GET", "/api/threads", None),
    "plain items": ("GET", "/api/threads/THREAD/items", None),
    "a search": ("GET", "/api/threads/search?q=Hello", None),
    "the usage": ("GET", "/api/usage", None),
    "an export": ("GET", "/api/me/data", None),
}


Asked = tuple[str, str, Any]


class Client:
    """A request whose client reads nothing of the answer until `reads` is set."""

    def __init__(
        self, app: Running, headers: dict[str, str], request: tuple[str, str, Any]
    ) -> None:
        self.status = 0
        self.reads = asyncio.Event()
        self._app, self._headers, self._request = app, headers, request

    async def run(self) -> None:
        method, target, body = self._request
        path, _mark, query = target.partition("?")
        headers = {"host": "localhost", "content-type": "application/json", **self._headers}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "scheme": "http",
            "server": ("localhost", 8000),
            "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), headers[name].encode()) for name in headers],
        }
        sent = [{"type": "http.request", "body": json.dumps(body).encode() if body else b""}]

        async def receive() -> Message:
            if not sent:
                await asyncio.Event().wait()
            return sent.pop()

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)
            await self.reads.wait()

        await self._app.app(scope, receive, send)


@pytest.mark.parametrize("request_", READS.values(), ids=READS)
async def test_a_user_who_reads_no_answer_gets_few_and_others_theirs(
    settings: Settings, request_: Asked
) -> None:
    settings = with_jwt(settings)
    eve, ada = bearer(settings, "eve"), bearer(settings, "ada")
    async with running_app(settings) as app:
        thread = thread_id(await app.ask(create("Hello"), eve))
        method, path, body = request_
        body = body and json.loads(json.dumps(body).replace("THREAD", thread))
        asked = (method, path.replace("THREAD", thread), body)
        clients = [Client(app, eve, asked) for _ in range(MAX_USER_READS + 3)]
        running = [asyncio.create_task(client.run()) for client in clients]
        await asyncio.sleep(0.5)

        assert [client.status for client in clients].count(200) == MAX_USER_READS
        assert (await app.chatkit(op("threads.list"), ada)).status_code == 200

        # A client that goes away, and those that read on, make room for the others.
        running[0].cancel()
        for client in clients:
            client.reads.set()
        for task in running:
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
        assert [client.status for client in clients] == [200] * len(clients)


async def test_a_large_answer_is_sent_in_pieces() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    body = bytes(range(256)) * 1000
    await in_pieces(send)({"type": "http.response.body", "body": body})

    assert b"".join(message["body"] for message in sent) == body
    assert max(len(message["body"]) for message in sent) <= PIECE_BYTES
    assert [message["more_body"] for message in sent] == [True] * (len(sent) - 1) + [False]
