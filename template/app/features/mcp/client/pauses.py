"""The pauses between attempts to reach a server: longer each time, and short where it is wanted."""

import asyncio
from contextlib import suppress

FIRST, LONGEST = 0.5, 30.0
WANTED = 1.0
STABLE_SECONDS = 10


def seconds_before(attempt: int) -> float:
    """Return how long to wait before an attempt, which is 1 for the first that is made again."""
    return min(FIRST * 2 ** min(attempt - 1, 10), LONGEST)


class Pauses:
    """`pause` waits between two attempts; not at all after a connection that held for a while."""

    def __init__(self) -> None:
        self._attempts = 0
        self._opened_at: float | None = None
        self._wanted = asyncio.Event()

    def begin_anew(self) -> None:
        """Say that an attempt has succeeded."""
        self._opened_at = asyncio.get_running_loop().time()

    def cut_short(self) -> None:
        """Say that somebody wants the server now: a pause ends after a second."""
        self._wanted.set()

    async def pause(self) -> None:
        self._attempts = 0 if self._has_held() else self._attempts + 1
        self._opened_at = None
        if self._attempts == 0:
            return
        seconds = seconds_before(self._attempts)
        self._wanted.clear()
        await asyncio.sleep(min(seconds, WANTED))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - min(seconds, WANTED)):
                await self._wanted.wait()

    def _has_held(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._opened_at is not None and now - self._opened_at > STABLE_SECONDS
