"""What a client received of one turn, and when, over ChatKit or `/api/chat`."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

import httpx2

from chatkit_engine.testing.requests import Json, add, create, text_of


@dataclass(frozen=True)
class Delta:
    """A piece of the answer, and when it arrived by the monotonic clock."""

    text: str
    arrived: float


class Told(ABC):
    """One message that a client sends, and everything that it hears of it.

    `message_id` is there once the server has said that the message is stored: then, or when the
    message is refused, it `was_answered`. `is_whole` says that the answer was told to its end, and
    that it is stored.
    """

    path: ClassVar[str]

    def __init__(self, question: str, thread: str | None = None, key: str | None = None) -> None:
        self.question = question
        self.thread = thread
        self.key = key
        self.message_id: str | None = None
        self.deltas: list[Delta] = []
        self.messages: list[str] = []
        self.is_whole = False
        self.was_answered = asyncio.Event()
        self.error: Json | None = None
        self.status = 0
        self.is_unavailable = False
        self.problem: Json = {}
        self.asked = self.ended = 0.0

    @property
    def answer(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """The request was refused because another turn runs on the thread."""

    def __str__(self) -> str:
        ending = self.error or self.problem or ("whole" if self.is_whole else "broken off")
        return f"{self.path} {self.question!r}: {self.status}, {ending}"

    async def ask(self, http: httpx2.AsyncClient) -> None:
        """Send the message and listen, until the answer ends or the connection does."""
        self.asked = time.monotonic()
        try:
            await self._listen(http)
        except httpx2.TransportError as error:
            self.problem = {"broken off": type(error).__name__}
        self.was_answered.set()
        self.ended = time.monotonic()

    def unstored_for(self, stored: str, at: float) -> float:
        """Return how many seconds before `at` the oldest piece arrived that is not in `stored`."""
        told = 0
        for delta in self.deltas:
            told += len(delta.text)
            if told > len(stored):
                return max(0.0, at - delta.arrived)
        return 0.0

    async def _listen(self, http: httpx2.AsyncClient) -> None:
        headers = {"Idempotency-Key": self.key} if self.key else {}
        async with http.stream("POST", self.path, json=self._body(), headers=headers) as response:
            self.status = response.status_code
            if self.status != HTTPStatus.OK:
                self.problem = json.loads(await response.aread())
                self.is_unavailable = is_unavailable(response)
                return
            async for name, data in _events(response):
                self._hear(name, data)
                if self.message_id:
                    self.was_answered.set()
        self._hear_end()

    def _add(self, text: str) -> None:
        self.deltas.append(Delta(text, time.monotonic()))

    @abstractmethod
    def _body(self) -> Json: ...

    @abstractmethod
    def _hear(self, name: str, data: Json) -> None: ...

    @abstractmethod
    def _hear_end(self) -> None: ...


class ChatKitTold(Told):
    """`POST /chatkit`: the end of the response is the end of the turn."""

    path = "/chatkit"

    @property
    def is_busy(self) -> bool:
        alone = self.message_id is None and not self.deltas
        return alone and self.error is not None and self.error["allow_retry"] is True

    def _body(self) -> Json:
        return add(self.thread, self.question) if self.thread else create(self.question)

    def _hear(self, name: str, data: Json) -> None:
        match data:
            case {"type": "thread.created", "thread": {"id": str(thread)}}:
                self.thread = thread
            case {"type": "thread.item.done", "item": {"type": "user_message", "id": str(id_)}}:
                self.message_id = id_
            case {"type": "thread.item.done", "item": {"type": "assistant_message"} as item}:
                self.messages.append(text_of(item))
            case {"type": "thread.item.updated", "update": {"delta": str(text)}}:
                self._add(text)
            case {"type": "error"}:
                self.error = data
            case _:
                pass

    def _hear_end(self) -> None:
        self.is_whole = self.message_id is not None and self.error is None


class PlainTold(Told):
    """`POST /api/chat` as a stream: `done` is the end of the turn."""

    path = "/api/chat"

    @property
    def is_busy(self) -> bool:
        return (self.status, self.problem.get("code")) == (409, "thread_busy")

    def _body(self) -> Json:
        return {"message": self.question, "thread_id": self.thread, "stream": True}

    def _hear(self, name: str, data: Json) -> None:
        match name:
            case "thread":
                self.thread, self.message_id = data["thread_id"], data["message_id"]
            case "delta":
                self._add(data["text"])
            case "message":
                self.messages.append(data["text"])
            case "error":
                self.error = data
            case "done":
                self.is_whole = data["outcome"] == "completed" and self.error is None
            case _:
                pass

    def _hear_end(self) -> None:
        """`done` has said it."""


PROTOCOLS: tuple[type[Told], ...] = (ChatKitTold, PlainTold)


async def _events(response: httpx2.Response) -> AsyncIterator[tuple[str, Json]]:
    """Yield a stream's events, by name where they have one."""
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def is_unavailable(response: httpx2.Response) -> bool:
    """Say whether the request was refused for now, in the way that any client understands."""
    is_problem = response.headers["Content-Type"] == "application/problem+json"
    says_when = "Retry-After" in response.headers
    said = response.status_code, is_problem and response.json()["code"]
    return says_when and said == (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
