"""Many concurrent turns on one thread: one runs, and the others are told to try again."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import httpx2

from chatkit_engine.testing.requests import Json
from support.failures.findings import Findings
from support.failures.site import Site, answer_to, client, messages_of, stored_items
from support.failures.told import PROTOCOLS, PlainTold, Told

SETTLE_SECONDS = 30


class Contention:
    """Tries of `turns` at once, spread over all servers and both protocols."""

    def __init__(self, site: Site, servers: int, turns: int) -> None:
        self.findings = Findings()
        self._site = site
        self._servers = servers
        self._turns = turns
        self._asked = 0

    async def run(self, tries: int) -> Findings:
        """In every other try the model waits for all requests, so that only one can win."""
        async with AsyncExitStack() as stack:
            servers = [stack.enter_context(self._site.serve()) for _ in range(self._servers)]
            https = [await stack.enter_async_context(client(server)) for server in servers]
            for number in range(tries):
                await self._try(https, held=number % 2 == 0)
                self.findings.count("tries")
        self.findings.worst("most turns at once", self._site.model_api.most_at_once)
        if self._site.model_api.most_at_once != 1:
            self.findings.broken.append("two turns ran at once")
        return self.findings

    async def _try(self, https: Sequence[httpx2.AsyncClient], *, held: bool) -> None:
        opening = PlainTold("open")
        await opening.ask(https[0])
        told = [self._question(number, opening.thread) for number in range(self._turns)]
        released = self._site.model_api.released
        if held:
            released.clear()
        asked = [
            asyncio.create_task(each.ask(https[number % len(https)]))
            for number, each in enumerate(told)
        ]
        try:
            await self._until_all_are_answered(told)
        finally:
            released.set()
        await asyncio.gather(*asked)
        await self._check(https[-1], opening, told, held=held)

    def _question(self, number: int, thread: str | None) -> Told:
        self._asked += 1
        protocol = PROTOCOLS[number // self._servers % len(PROTOCOLS)]
        return protocol(f"question {self._asked}", thread, key=f"key {self._asked}")

    async def _until_all_are_answered(self, told: Sequence[Told]) -> None:
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*(each.was_answered.wait() for each in told))

    async def _check(
        self, http: httpx2.AsyncClient, opening: Told, told: Sequence[Told], *, held: bool
    ) -> None:
        accepted = [each for each in told if each.message_id]
        self.findings.count("turns", len(told))
        self.findings.count(
            "won, the model held" if held else "won, the model quick", len(accepted)
        )
        self._expect_winners(len(accepted), held=held)
        for each in told:
            if each not in accepted:
                self.findings.expect(each.is_busy, "refused, to be retried", f"{each}")
        items = await stored_items(http, opening.thread or "")
        self._check_items(items, [opening, *accepted])
        for each in accepted:
            await self._check_replay(http, each)

    def _expect_winners(self, winners: int, *, held: bool) -> None:
        if winners == 0 or (held and winners > 1):
            self.findings.broken.append(f"{winners} turns of one try were accepted")

    def _check_items(self, items: list[Json], accepted: Sequence[Told]) -> None:
        kinds = [item["type"] for item in items]
        in_order = kinds == ["user_message", "assistant_message"] * len(accepted)
        self.findings.expect(in_order, "threads in order, nothing more", f"{kinds}")
        for each in accepted:
            stored = len(messages_of(items, each)), answer_to(items, each)
            is_once = each.is_whole and stored == (1, each.answer) and each.question in each.answer
            self.findings.expect(is_once, "stored once, with its answer", f"{each}: {stored}")

    async def _check_replay(self, http: httpx2.AsyncClient, told: Told) -> None:
        """Send the request again, under its key: it gets the answer that it got before."""
        again = type(told)(told.question, told.thread, key=told.key)
        await again.ask(http)
        is_same = (again.message_id, again.messages) == (told.message_id, told.messages)
        self.findings.expect(
            is_same, "repeated by their key", f"{again}: {again.messages} not {told.messages}"
        )
