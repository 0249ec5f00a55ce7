"""Waits for a condition that another task or process makes true."""

import asyncio
from collections.abc import Awaitable, Callable

TRIES = 200
INTERVAL_SECONDS = 0.05


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TRIES):
        if await condition():
            return
        await asyncio.sleep(INTERVAL_SECONDS)
    raise AssertionError("the condition did not become true in time")
