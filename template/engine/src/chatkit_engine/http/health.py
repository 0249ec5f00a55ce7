"""`/health/live`: the process responds. `/health/ready`: everything that it needs works."""

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from chatkit_engine.errors import AppError
from chatkit_engine.http.dependencies import JSON, authenticate
from chatkit_engine.http.services import services_of
from chatkit_engine.observability.health import HealthStatus, run_check
from chatkit_engine.security.authentication import is_from_this_machine

router = APIRouter(prefix="/health", tags=["health"])


class Readiness(BaseModel):
    """Whether the server can work. Strangers are not told about the checks."""

    ready: bool
    checks: list[HealthStatus] | None = None


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> dict[str, str]:
    """Report that the process responds."""
    return {"status": "ok"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={503: {"model": Readiness}}, response_model_exclude_none=True)
async def ready(request: Request, response: Response) -> Readiness:
    """Run all checks. The status is 503 if any of them failed.

    Their results are for requests from this machine or with a user.
    """
    checks = services_of(request).health_checks
    results = await asyncio.gather(*(run_check(check) for check in checks))
    is_ready = all(result.ok for result in results)
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, checks=results if await _may_see(request) else None)


async def _may_see(request: Request) -> bool:
    if is_from_this_machine(request):
        return True
    try:
        await authenticate(request, JSON)
    except AppError:
        return False
    return True
