"""Health: `live` says that the process runs; `ready` says, item by item, what it can serve."""

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from chatkit_engine.http.services import services_of
from chatkit_engine.observability.health import HealthStatus, run_check

router = APIRouter(prefix="/health", tags=["health"])


class Readiness(BaseModel):
    ready: bool
    checks: list[HealthStatus]


@router.get("/live")
async def live() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(request: Request, response: Response) -> Readiness:
    """List what the service needs; 503 while anything is missing."""
    checks = services_of(request).health_checks
    results = await asyncio.gather(*(run_check(check) for check in checks))
    is_ready = all(result.ok for result in results)
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, checks=results)
