"""Slots that users share fairly: those who wait are admitted in turn, one user after another."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class FairSlots:
    """A number of slots, of which one user holds at most `per_user` at the same time."""

    def __init__(self, total: int, per_user: int) -> None:
        self._free = total
        self._per_user = per_user
        self._held: Counter[str] = Counter()
        # In the order in which the users are admitted.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def hold(self, user_id: str) -> AsyncGenerator[None]:
        """Wait for a slot, and hold it."""
        await self.acquire(user_id)
        try:
            yield
        finally:
            self.release(user_id)

    def held(self, user_id: str) -> int:
        return self._held[user_id]

    def waiting(self, user_id: str) -> int:
        return len(self._waiting.get(user_id, ()))

    async def acquire(self, user_id: str) -> None:
        """Wait for a slot. Call `release` once when it is free again."""
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(admitted)
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._leave(user_id, admitted)
            else:
                self.release(user_id)
            raise

    def _leave(self, user_id: str, admitted: asyncio.Future[None]) -> None:
        queue = self._waiting.get(user_id, deque())
        # It is gone if a slot was offered to it after it was cancelled.
        with suppress(ValueError):
            queue.remove(admitted)
        if not queue:
            self._waiting.pop(user_id, None)

    def release(self, user_id: str) -> None:
        self._free += 1
        self._held[user_id] -= 1
        if not self._held[user_id]:
            del self._held[user_id]
        self._admit()

    def _admit(self) -> None:
        while self._free and (user_id := self._next_user()) is not None:
            queue = self._waiting.pop(user_id)
            admitted = queue.popleft()
            if queue:
                self._waiting[user_id] = queue
            if not admitted.cancelled():
                self._free -= 1
                self._held[user_id] += 1
                admitted.set_result(None)

    def _next_user(self) -> str | None:
        may_hold_more = (each for each in self._waiting if self._held[each] < self._per_user)
        return next(may_hold_more, None)
