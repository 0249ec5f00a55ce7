"""`/health/live`: the process responds. `/health/ready`: everything that it needs works."""

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
    """Report that the process responds."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(request: Request, response: Response) -> Readiness:
    """List the results of all checks. The status is 503 if any of them failed."""
    checks = services_of(request).health_checks
    results = await asyncio.gather(*(run_check(check) for check in checks))
    is_ready = all(result.ok for result in results)
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, checks=results)
