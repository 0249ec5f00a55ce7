"""Health checks. Each one checks one thing that the service needs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pydantic import BaseModel

log = structlog.stdlib.get_logger(__name__)

CHECK_SECONDS = 5


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
