"""Health checks: each looks at one thing that the service needs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pydantic import BaseModel

CHECK_SECONDS = 5
log = structlog.stdlib.get_logger(__name__)


class HealthStatus(BaseModel):
    """The result of a check. `detail` says what is missing, or what to know."""

    name: str
    ok: bool
    detail: str = ""


HealthCheck = Callable[[], Awaitable[HealthStatus]]


async def run_check(check: HealthCheck) -> HealthStatus:
    """Run a check; one that raises or gives no answer counts as failed. The log says why."""
    name = getattr(check, "__name__", "check").strip("_")
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception:
        log.exception("a health check failed", check=name)
        return HealthStatus(name=name, ok=False, detail="failed; the log says why")
