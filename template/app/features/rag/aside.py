"""Work in a thread that nobody waits for: a command that is interrupted ends at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return what the work returns. Whoever is cancelled meanwhile leaves it to itself."""
    done = Future[T]()
    done.set_running_or_notify_cancel()
    Thread(target=_do, args=(done, work, *args), daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(done))


def _do(done: "Future[T]", work: Callable[[*Ts], T], *args: *Ts) -> None:
    try:
        done.set_result(work(*args))
    except Exception as error:
        done.set_exception(error)
