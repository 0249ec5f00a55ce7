"""Sends `kill -9` in the middle of streams, and checks what the next process finds."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from random import Random

import httpx2

from chatkit_engine.run.interruption import INTERRUPTED
from chatkit_engine.store.leases import LEASE_SECONDS
from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.turns.turn import CHECKPOINT_SECONDS
from support.app import Server
from support.failures.findings import Findings
from support.failures.site import Site, answer_to, client, messages_of, stored_items
from support.failures.told import PROTOCOLS, Told

SCHEDULING_SECONDS = 0.25
MAX_STREAMS = 3
WORDS = 2000
WORD_SECONDS = (0.01, 0.05)
ANSWER = " ".join(f"word{number}" for number in range(WORDS))

AfterLease = Callable[[float], Awaitable[None]]


async def wait_for_lease(killed_at: float) -> None:
    """Wait until the lease of a process that was killed then is surely past."""
    await asyncio.sleep(max(0.0, killed_at + LEASE_SECONDS + SCHEDULING_SECONDS - time.monotonic()))


class Kills:
    """Rounds of a kill, each checked by the process that comes after it."""

    def __init__(
        self,
        site: Site,
        rng: Random,
        max_seconds: float,
        after_lease: AfterLease = wait_for_lease,
    ) -> None:
        self.findings = Findings()
        self._site = site
        self._rng = rng
        self._max_seconds = max_seconds
        self._after_lease = after_lease
        self._killed_at = 0.0
        self._unchecked: list[Told] = []
        self._cut_off: list[tuple[float, Told]] = []
        self._idle: list[str] = []
        self._asked = 0

    async def run(self, rounds: int) -> Findings:
        for _ in range(rounds):
            with self._site.serve() as server:
                async with client(server) as http:
                    await self._check(http)
                    await self._go_on(http, self._free())
                    await self._stream_and_kill(server, http)
            self._check_integrity()
            self.findings.count("rounds")
        with self._site.serve() as server:
            async with client(server) as http:
                await self._check(http)
                if self._site.postgres:
                    await self._after_lease(self._killed_at)
                await self._go_on(http, [told for _, told in self._cut_off])
        return self.findings

    async def _stream_and_kill(self, server: Server, http: httpx2.AsyncClient) -> None:
        self._site.model_api.reset()
        pause = self._rng.uniform(*WORD_SECONDS)
        self._site.model_api.default = Reply(ANSWER, word_seconds=pause)
        self._unchecked = [self._question() for _ in range(self._rng.randint(1, MAX_STREAMS))]
        streams = [asyncio.create_task(told.ask(http)) for told in self._unchecked]
        await asyncio.sleep(self._rng.uniform(0, self._max_seconds))
        self._killed_at = time.monotonic()
        server.kill()
        await asyncio.gather(*streams)

    def _question(self) -> Told:
        """Ask in a new thread, or go on in one whose last turn is whole."""
        thread = self._idle.pop() if self._idle and self._rng.random() < 1 / 2 else None
        self._asked += 1
        return self._rng.choice(PROTOCOLS)(f"question {self._asked}", thread)

    def _check_integrity(self) -> None:
        if self._site.postgres:
            return
        file = self._site.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check").fetchone()
        self.findings.expect(found == "ok", "integrity ok", found)

    async def _check(self, http: httpx2.AsyncClient) -> None:
        acknowledged = [told for told in self._unchecked if told.message_id]
        self.findings.count("streams", len(self._unchecked))
        self.findings.count("acknowledged", len(acknowledged))
        for told in acknowledged:
            await self._check_stored(http, told)
        self._cut_off += [(self._killed_at, told) for told in acknowledged]
        self._unchecked = []

    async def _check_stored(self, http: httpx2.AsyncClient, told: Told) -> None:
        items = await stored_items(http, told.thread or "")
        self.findings.expect(len(messages_of(items, told)) == 1, "found", f"{told}: {items}")
        partial = answer_to(items, told)
        if not told.deltas and not partial:
            return
        self.findings.expect(ANSWER.startswith(partial.rstrip()), "partials in order", f"{told}")
        behind = told.unstored_for(partial, self._killed_at)
        self.findings.worst("worst lag, s", behind)
        self.findings.expect(
            behind <= CHECKPOINT_SECONDS + SCHEDULING_SECONDS,
            "partials checked",
            f"{told}: {behind:.2f} s behind",
        )

    def _free(self) -> list[Told]:
        """Return the turns whose lease is past: at once where a process's death is seen."""
        now = time.monotonic() - SCHEDULING_SECONDS
        wait = LEASE_SECONDS if self._site.postgres else 0
        return [told for killed_at, told in self._cut_off if now - killed_at > wait]

    async def _go_on(self, http: httpx2.AsyncClient, cut_off: list[Told]) -> None:
        self._site.model_api.reset()
        for told in cut_off:
            following = self._rng.choice(PROTOCOLS)(f"after {told.question}", told.thread)
            await following.ask(http)
            self.findings.expect(following.is_whole, "next turns ok", f"{following}")
            items = await stored_items(http, told.thread or "")
            self._check_told_of_the_cut(told, answer_to(items, told))
            self._idle.append(told.thread or "")
        self._cut_off = [(at, told) for at, told in self._cut_off if told not in cut_off]

    def _check_told_of_the_cut(self, told: Told, partial: str) -> None:
        read = "\n".join(self._site.model_api.texts())
        knows = all(text in read for text in (told.question, partial, INTERRUPTED))
        self.findings.expect(knows, "model told of the cut", f"{told}: {read[-300:]}")
