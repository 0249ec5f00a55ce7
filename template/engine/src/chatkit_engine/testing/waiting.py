"""Waits for what another task or process does."""

import asyncio
from collections.abc import Awaitable, Callable

TRIES = 200
PAUSE_SECONDS = 0.05


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TRIES):
        if await condition():
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("it did not happen in time")
