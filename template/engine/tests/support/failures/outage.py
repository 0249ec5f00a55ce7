"""Stops PostgreSQL under load and starts it again, and checks the answers and the data."""

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from chatkit_engine.observability.health import FRESH_SECONDS
from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import Json
from support.app import Server
from support.failures.findings import Findings
from support.failures.site import Site, answer_to, client, messages_of, stored_items
from support.failures.told import PROTOCOLS, Told, is_unavailable

PAUSE_SECONDS = 0.2
RECOVERY_SECONDS = 60
ANSWER = " ".join(f"word{number}" for number in range(40))
WORD_SECONDS = 0.03


@dataclass(frozen=True)
class Load:
    """How many clients converse, and for how long before, during and after. Seconds.

    Beside them a visitor comes every now and then, reads, and says one thing.
    """

    clients: int
    before: float
    away: float
    after: float


@dataclass(frozen=True)
class Read:
    """An answer to a GET, and when it was asked for and given."""

    asked: float
    given: float
    response: httpx2.Response

    @property
    def status(self) -> int:
        return self.response.status_code


class Outage:
    """One outage under load. `gone` and `back` are its bounds, by the monotonic clock."""

    def __init__(self, site: Site, load: Load, stop_mode: str = "fast") -> None:
        assert site.postgres is not None
        self.findings = Findings()
        self._site = site
        self._postgres = site.postgres
        self._load = load
        self._stop_mode = stop_mode
        self._told: list[Told] = []
        self._probes: list[Read] = []
        self._reads: list[Read] = []
        self._over = asyncio.Event()
        self._stopping = self._gone = self._returning = self._back = 0.0

    async def run(self) -> Findings:
        self._site.model_api.default = Reply(ANSWER, word_seconds=WORD_SECONDS)
        with self._site.serve() as server:
            async with client(server) as http:
                await self._interrupt(http)
                self._check_health(server)
                self._check_reads()
                for told in self._told:
                    await self._check(http, told)
        return self.findings

    async def _interrupt(self, http: httpx2.AsyncClient) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_health(http))
            tasks.create_task(self._visit(http))
            for number in range(self._load.clients):
                tasks.create_task(self._converse(http, number))
            await asyncio.sleep(self._load.before)
            self._stopping = time.monotonic()
            await asyncio.to_thread(self._postgres.stop, self._stop_mode)
            self._gone = time.monotonic()
            await asyncio.sleep(self._load.away)
            self._returning = time.monotonic()
            await asyncio.to_thread(self._postgres.start)
            self._back = time.monotonic()
            await asyncio.sleep(self._load.after)
            self._over.set()

    async def _visit(self, http: httpx2.AsyncClient) -> None:
        """Let visitors come without waiting for those before: an outage holds up who is served."""
        async with asyncio.TaskGroup() as tasks:
            while not self._over.is_set():
                told = PROTOCOLS[len(self._told) % len(PROTOCOLS)]("a visitor's question")
                self._told.append(told)
                tasks.create_task(told.ask(http))
                tasks.create_task(self._read(http))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, http: httpx2.AsyncClient) -> None:
        self._reads.append(await _get(http, "/api/threads"))

    async def _converse(self, http: httpx2.AsyncClient, number: int) -> None:
        """Send one message after the other, until the run is over and one was answered since."""
        thread, asked = None, 0
        recovered = False
        while not (self._over.is_set() and recovered) and not self._has_waited_enough():
            asked += 1
            told = PROTOCOLS[number % len(PROTOCOLS)](f"client {number}, message {asked}", thread)
            self._told.append(told)
            await told.ask(http)
            thread = told.thread
            recovered = told.is_whole and bool(self._back) and told.asked > self._back
            if not told.is_whole:
                await asyncio.sleep(PAUSE_SECONDS)
        self.findings.expect(recovered, "clients that went on", f"client {number} did not")

    def _has_waited_enough(self) -> bool:
        return bool(self._back) and time.monotonic() > self._back + RECOVERY_SECONDS

    async def _watch_health(self, http: httpx2.AsyncClient) -> None:
        while not (self._over.is_set() and self._is_ready_again()):
            self._probes.append(await _get(http, "/health/ready"))
            await asyncio.sleep(PAUSE_SECONDS)

    def _is_ready_again(self) -> bool:
        last = self._probes[-1]
        return self._has_waited_enough() or (
            last.status == HTTPStatus.OK and last.asked > self._back
        )

    def _check_health(self, server: Server) -> None:
        self.findings.expect(server.process.poll() is None, "same process", "it has ended")
        for probe in self._probes:
            if probe.given < self._stopping:
                self.findings.expect(probe.status == HTTPStatus.OK, "ready before", f"{probe}")
            # The results of a check are kept for a second.
            elif self._gone + FRESH_SECONDS < probe.asked and probe.given < self._returning:
                self.findings.expect(
                    probe.status == HTTPStatus.SERVICE_UNAVAILABLE,
                    "not ready while away",
                    f"{probe}",
                )
        ready = [
            p.given for p in self._probes if p.status == HTTPStatus.OK and p.given > self._gone
        ]
        self.findings.expect(
            self._probes[-1].status == HTTPStatus.OK, "ready in the end", f"{ready}"
        )
        self.findings.worst("ready again after, s", min(ready, default=0) - self._back)

    def _check_reads(self) -> None:
        for read in self._reads:
            if read.status == HTTPStatus.OK:
                self.findings.count("reads answered")
            else:
                refused = is_unavailable(read.response) and read.given > self._stopping
                self.findings.expect(refused, "reads refused: 503", f"{read}")

    async def _check(self, http: httpx2.AsyncClient, told: Told) -> None:
        self.findings.count("turns")
        if told.message_id is None:
            self._check_refusal(told)
            return
        items = await stored_items(http, told.thread or "")
        self.findings.count("acknowledged")
        self.findings.expect(len(messages_of(items, told)) == 1, "found", f"{told}")
        if told.is_whole:
            self._check_whole(items, told)
        else:
            self.findings.expect(told.error is not None, "ended by an error event", f"{told}")

    def _check_whole(self, items: list[Json], told: Told) -> None:
        stored = answer_to(items, told)
        whole = stored == told.answer and stored.rstrip() == ANSWER
        self.findings.expect(whole, "told as done, stored whole", f"{told}: {stored[-60:]}")
        if told.asked < self._stopping and told.ended > self._gone:
            self.findings.count("of these, in flight at the stop")
            self.findings.worst("longest such turn, s", told.ended - told.asked)

    def _check_refusal(self, told: Told) -> None:
        if told.is_busy:
            self.findings.count("refused: thread busy")
            return
        is_timely = self._stopping <= told.ended
        self.findings.expect(told.is_unavailable and is_timely, "refused: 503", f"{told}")
        self.findings.worst("longest wait for a 503, s", told.ended - told.asked)
        if self._back < told.asked:
            self.findings.worst("last 503 after the return, s", told.asked - self._back)


async def _get(http: httpx2.AsyncClient, path: str) -> Read:
    asked = time.monotonic()
    response = await http.get(path)
    return Read(asked, time.monotonic(), response)
