"""Health checks. Each one checks one thing that the service needs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pydantic import BaseModel

log = structlog.stdlib.get_logger(__name__)

CHECK_SECONDS = 5
FRESH_SECONDS = 1.0


class HealthStatus(BaseModel):
    """The result of a check. `detail` says what is wrong or worth knowing."""

    name: str
    ok: bool
    detail: str = ""


HealthCheck = Callable[[], Awaitable[HealthStatus]]


async def run_check(check: HealthCheck) -> HealthStatus:
    """Run a check. It fails if it raises or takes more than five seconds; the log says why."""
    name = getattr(check, "__name__", "check").strip("_")
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception:
        log.exception("a health check failed", check=name)
        return HealthStatus(name=name, ok=False, detail="failed; the log says why")


class SharedCheck:
    """Runs a check at most once a second and for all callers together, because anybody may ask."""

    def __init__(self, check: HealthCheck) -> None:
        self._check = check
        self._task: asyncio.Task[HealthStatus] | None = None
        self._fresh_until = 0.0

    async def __call__(self) -> HealthStatus:
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._fresh_until):
            self._task = asyncio.create_task(run_check(self._check))
            self._fresh_until = now + FRESH_SECONDS
        # A caller that goes away does not end the check for the others.
        return await asyncio.shield(self._task)
