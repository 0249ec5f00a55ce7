"""The client: users who converse in closed loops, and check every answer to the last word."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import aiohttp
from answer import MIN_WORDS, is_whole, order, read_clock
from pydantic_core import from_json

TURNS_IN_THREAD = 3
END = b"\n\n"
DATA = b"data: "
NS_PER_MS = 1e6
MS_PER_S = 1000
LISTED = 20


class WrongAnswer(Exception):
    """A server lost, doubled or changed something: there is no number for that."""


@dataclass(frozen=True)
class Scenario:
    """What every user orders: `words` deltas a turn at `pace` a second, on `streams` at once."""

    streams: int
    words: int
    pace: int
    task: str = ""

    @property
    def message(self) -> str:
        return order(self.words, self.pace, self.task)


@dataclass
class Tally:
    """What arrived. Delays are milliseconds over the model's own time."""

    turns: int = 0
    deltas: int = 0
    events: int = 0
    first_delays: list[float] = field(default_factory=list)
    last_delays: list[float] = field(default_factory=list)

    def copy(self) -> "Tally":
        lists = {"first_delays": [*self.first_delays], "last_delays": [*self.last_delays]}
        return replace(self, **lists)

    def since(self, earlier: "Tally") -> "Tally":
        return Tally(
            turns=self.turns - earlier.turns,
            deltas=self.deltas - earlier.deltas,
            events=self.events - earlier.events,
            first_delays=self.first_delays[len(earlier.first_delays) :],
            last_delays=self.last_delays[len(earlier.last_delays) :],
        )


@dataclass(frozen=True)
class Window:
    """What a server did while it was watched, and the CPU that it took, in seconds."""

    tally: Tally
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class ListWindow:
    """`threads.list` over HTTP: milliseconds of a request, and of the server's CPU for it."""

    latency_ms: float
    cpu_ms: float


class Reply:
    """One turn's answer as it arrives."""

    def __init__(self, words: int, tally: Tally) -> None:
        self._began_ns = time.monotonic_ns()
        self._words = words
        self._tally = tally
        self._arrived = 0
        self._texts: list[str] = []
        self._message = ""
        self.thread_id = ""

    def read(self, event: bytes) -> None:
        if b".text_delta" in event:
            self._delta(_data(event)["update"]["delta"])
        elif b'"thread.created"' in event:
            self.thread_id = _data(event)["thread"]["id"]
        elif b'"assistant_message"' in event and b'"thread.item.done"' in event:
            self._message = _text(_data(event)["item"])
        elif b'"error"' in event:
            raise WrongAnswer(event.decode())

    def end(self) -> None:
        text = "".join(self._texts)
        if text != self._message or not is_whole(text, self._words):
            raise WrongAnswer(f"deltas {text!r}, message {self._message!r}")
        self._tally.turns += 1

    def _delta(self, text: str) -> None:
        words = text.count(" ")
        if self._arrived == 0:
            self._tally.first_delays.append(self._delay(text))
        self._arrived += words
        if self._arrived == self._words:
            self._tally.last_delays.append(self._delay(text[text.rindex("@") :]))
        self._texts.append(text)
        self._tally.deltas += words
        self._tally.events += 1

    def _delay(self, word: str) -> float:
        return (time.monotonic_ns() - self._began_ns - read_clock(word)) / NS_PER_MS


class Client:
    """One user's connection to one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    async def turn(self, scenario: Scenario, thread_id: str | None, tally: Tally) -> str:
        """Say something and read the whole answer; return the thread's id."""
        body = _message_request(scenario.message, thread_id)
        reply = Reply(scenario.words, tally)
        async with self._post(body) as response:
            async for event in _events(response):
                reply.read(event)
        reply.end()
        return thread_id or reply.thread_id

    async def list_threads(self) -> list[Any]:
        """Return the first page of the user's threads."""
        body = {"type": "threads.list", "params": {"limit": LISTED, "order": "desc"}}
        async with self._post(body) as response:
            return from_json(await response.read())["data"]

    def _post(self, body: object) -> Any:
        return self._http.post(
            f"{self._url}/chatkit", json=body, headers=self._headers, raise_for_status=True
        )


async def open_threads(client: Client) -> None:
    """Give the client's user a full page of threads."""
    short = Scenario(streams=1, words=MIN_WORDS, pace=1000)
    for _ in range(LISTED):
        await client.turn(short, None, Tally())


async def watch_lists(
    client: Client, cpu_seconds: Callable[[], float], requests: int
) -> ListWindow:
    """List the threads again and again, one request after the other."""
    times: list[float] = []
    cpu = cpu_seconds()
    for _ in range(requests):
        began = time.monotonic_ns()
        listed = await client.list_threads()
        times.append((time.monotonic_ns() - began) / NS_PER_MS)
        if len(listed) != LISTED:
            raise WrongAnswer(f"{len(listed)} threads listed")
    return ListWindow(median(times), (cpu_seconds() - cpu) * MS_PER_S / requests)


class Load:
    """Keeps a number of streams busy: each goes through threads of a few turns."""

    def __init__(self, scenario: Scenario, clients: list[Client]) -> None:
        assert scenario.words >= MIN_WORDS
        self.tally = Tally()
        self._scenario = scenario
        self._clients = clients
        self._over = False

    async def watch(
        self, cpu_seconds: Callable[[], float], warm_up: float, seconds: float
    ) -> Window:
        """Converse for `warm_up` seconds, then watch for `seconds`, then let the turns end.

        Where fewer turns end than there are streams, watch on.
        """
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(self._stream(client, number))
            await asyncio.sleep(warm_up)
            before, began, cpu = self.tally.copy(), time.monotonic(), cpu_seconds()
            await self._pass(seconds, before.turns + len(self._clients))
            cpu, elapsed = cpu_seconds() - cpu, time.monotonic() - began
            window = Window(self.tally.since(before), elapsed, cpu)
            self._over = True
        return window

    async def complete(self, cpu_seconds: Callable[[], float], turns: int) -> Window:
        """Let each stream take so many turns, each on a new thread, and watch from start to end."""
        began, cpu = time.monotonic(), cpu_seconds()
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(self._new_threads(client, number, turns))
        return Window(self.tally, time.monotonic() - began, cpu_seconds() - cpu)

    async def _pass(self, seconds: float, turns: int) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self.tally.turns >= turns:
                return

    async def _stream(self, client: Client, number: int) -> None:
        """Start at a time and with a first thread of a length that spread the streams out."""
        await self._spread(number)
        turns = 1 + number % TURNS_IN_THREAD
        while not self._over:
            thread_id = None
            for _ in range(turns):
                if not self._over:
                    thread_id = await client.turn(self._scenario, thread_id, self.tally)
            turns = TURNS_IN_THREAD

    async def _new_threads(self, client: Client, number: int, turns: int) -> None:
        await self._spread(number)
        for _ in range(turns):
            await client.turn(self._scenario, None, self.tally)

    async def _spread(self, number: int) -> None:
        turn_seconds = self._scenario.words / self._scenario.pace
        await asyncio.sleep(turn_seconds * number / len(self._clients))


def _message_request(text: str, thread_id: str | None) -> dict[str, Any]:
    message = {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
    }
    if thread_id is None:
        return {"type": "threads.create", "params": {"input": message}}
    params = {"thread_id": thread_id, "input": message}
    return {"type": "threads.add_user_message", "params": params}


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *events, rest = (rest + chunk).split(END)
        for event in events:
            yield event


def _data(event: bytes) -> Any:
    return from_json(event.removeprefix(DATA))


def _text(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])
