"""Cleans up once a minute: turns of dead processes, old idempotency keys, and expired threads.

Features add their own sweeps. Several processes may sweep at the same time, because each statement
handles only rows that no other process has claimed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from chatkit.store import NotFoundError
from sqlalchemy import Connection

from chatkit_engine.run.interruption import mark_interrupted
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import generated_images, leases
from chatkit_engine.store.database import Database

log = structlog.stdlib.get_logger(__name__)
SWEEP_SECONDS = 60
DAY_SECONDS = 24 * 3600
Sweep = Callable[[], Awaitable[object]]


class Sweeper:
    """Runs every sweep, one after the other. A failed sweep runs again in the next minute."""

    def __init__(self, database: Database, settings: Settings, more: Sequence[Sweep] = ()) -> None:
        self._database = database
        self._retention_seconds = (settings.retention_days or 0) * DAY_SECONDS
        self._sweeps = [self._close_dead_turns, self._forget_old_keys, self._expire_threads, *more]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Sweep once a minute until the block ends."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def sweep(self) -> None:
        for sweep in self._sweeps:
            try:
                await sweep()
            except Exception:
                log.exception("a sweep failed", sweep=getattr(sweep, "__name__", "").strip("_"))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def _close_dead_turns(self) -> None:
        closed = await self._database.write(_close_dead_turns)
        if closed:
            log.warning("closed turns of dead processes", turns=closed)

    async def _forget_old_keys(self) -> None:
        await self._database.write(leases.delete_old_records)

    async def _expire_threads(self) -> None:
        seconds = self._retention_seconds
        # In batches, because a long transaction would block other writers.
        while seconds and (
            expired := await self._database.write(leases.delete_idle_threads, seconds)
        ):
            log.info("deleted threads past their retention", threads=expired)


def _close_dead_turns(connection: Connection) -> int:
    closed = leases.close_expired(connection)
    for row in closed:
        generated_images.delete_unshown(connection, row.thread_id, row.user_id)
        with suppress(NotFoundError):
            mark_interrupted(connection, row.thread_id, row.user_id)
    return len(closed)
