"""One front end's conversation: sends requests, and records everything."""

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from chatkit.types import (
    Attachment,
    ChatKitReq,
    Page,
    SyncCustomActionResponse,
    Thread,
    ThreadItem,
    ThreadStreamEvent,
    TranscriptionResult,
)
from pydantic import TypeAdapter

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, create, events, op, thread_id
from support.protocol.sdk import Kind, Types
from support.protocol.transcript import joined

REQUEST: TypeAdapter[Any] = TypeAdapter(ChatKitReq)
EVENT: TypeAdapter[Any] = TypeAdapter(ThreadStreamEvent)
ANSWERS: dict[str, TypeAdapter[Any]] = {
    "threads.get_by_id": TypeAdapter(Thread),
    "threads.update": TypeAdapter(Thread),
    "threads.list": TypeAdapter(Page[Thread]),
    "items.list": TypeAdapter(Page[ThreadItem]),
    "attachments.create": TypeAdapter(Attachment),
    "input.transcribe": TypeAdapter(TranscriptionResult),
    "threads.sync_custom_action": TypeAdapter(SyncCustomActionResponse),
}
TYPES = Types()
TRIES = 400
PAUSE_SECONDS = 0.05


@dataclass
class Exchange:
    """A request, and the events or the JSON that answered it."""

    request: Json
    status: int
    events: list[Json] | None = None
    answer: Any = None

    @property
    def kinds(self) -> set[Kind]:
        """What the SDK's own types find in it. A refused request does not count."""
        if self.status != 200:
            return set()
        found = TYPES.found_in(REQUEST.validate_python(self.request))
        for event in self.events or ():
            found |= TYPES.found_in(EVENT.validate_python(event))
        adapter = ANSWERS.get(self.request["type"])
        return found | (TYPES.found_in(adapter.validate_python(self.answer)) if adapter else set())

    @property
    def line(self) -> Json:
        """What is compared of it."""
        if self.events is not None:
            return {"request": self.request, "events": joined(self.events)}
        return {"request": self.request, "status": self.status, "answer": self.answer}


class Talk:
    """A conversation with a server whose models' API is a fake, on one of its wires."""

    def __init__(self, http: httpx2.Client, model: FakeModelApi, database: Path, user: str) -> None:
        self.http = http
        self.model = model
        self._database = database
        self._user = user
        self.exchanges: list[Exchange] = []

    def ask(self, request: Json, *replies: Reply) -> list[Json]:
        """Send a request that opens a turn, which the model answers so, and return its events."""
        self.model.script(*replies)
        response = self.http.post("/chatkit", json=request)
        assert response.status_code == 200, response.text
        streamed = events(response.text)
        self.exchanges.append(Exchange(request, 200, streamed))
        return streamed

    def open(self, text: str, *replies: Reply, **metadata: Any) -> str:
        """Open a thread with a message, and return its id."""
        return thread_id(self.ask(create(text, metadata), *replies))

    def send(self, type_: str, **params: Any) -> Any:
        """Send a request that JSON answers, and return the answer."""
        request = op(type_, **params)
        response = self.http.post("/chatkit", json=request)
        answer = response.json()
        self.exchanges.append(Exchange(request, response.status_code, answer=answer))
        return answer

    def refused(self, request: Json) -> int:
        """Send a request that is refused before its turn begins, and return the status."""
        response = self.http.post("/chatkit", json=request)
        assert response.status_code >= 400, response.text
        self.exchanges.append(Exchange(request, response.status_code, answer=response.json()))
        return response.status_code

    def items(self, thread: str) -> list[Json]:
        """List a thread as the front end does when it is opened again, oldest first."""
        return self.send("items.list", thread_id=thread, order="asc", limit=100)["data"]

    @contextmanager
    def reading(self, request: Json, *replies: Reply, until: str) -> Generator[list[Json]]:
        """Read a turn's events until one has a text in it, and drop the connection at the end."""
        self.model.script(*replies)
        with self.http.stream("POST", "/chatkit", json=request) as response:
            read, texts = "", response.iter_text()
            for text in texts:
                read += text
                if until in read and read.endswith("\n\n"):
                    break
            streamed = events(read)
            self.exchanges.append(Exchange(request, 200, streamed))
            yield streamed

    def wait_for_end(self) -> None:
        """Wait until none of the user's turns runs, whatever became of those who read them."""
        for _ in range(TRIES):
            if not self.stored("SELECT 1 FROM turns WHERE user_id = ? AND state = 'running'"):
                return
            time.sleep(PAUSE_SECONDS)
        raise AssertionError("a turn did not end")

    def stored(self, statement: str) -> list[Any]:
        """Return the first column of what the server's database has for the conversation's user."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute(statement, [self._user])]
