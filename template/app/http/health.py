"""Health: `live` says that the process runs; `ready` says, item by item, what it can serve."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

router = APIRouter(prefix="/health", tags=["health"])

CHECK_SECONDS = 5

log = structlog.stdlib.get_logger(__name__)


class Check(BaseModel):
    """One thing the service needs. `detail` says what is missing, or what to know."""

    name: str
    ok: bool
    detail: str = ""


HealthCheck = Callable[[], Awaitable[Check]]


class Readiness(BaseModel):
    ready: bool
    checks: list[Check]


@router.get("/live")
async def live() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(request: Request, response: Response) -> Readiness:
    """List what the service needs; 503 while anything is missing."""
    checks = cast(list[HealthCheck], request.app.state.health_checks)
    results = await asyncio.gather(*(run_check(check) for check in checks))
    is_ready = all(result.ok for result in results)
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, checks=results)


async def run_check(check: HealthCheck) -> Check:
    """Run a check; one that raises or gives no answer counts as failed. The log says why."""
    name = getattr(check, "__name__", "check").strip("_")
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception:
        log.exception("a health check failed", check=name)
        return Check(name=name, ok=False, detail="failed; the log says why")
