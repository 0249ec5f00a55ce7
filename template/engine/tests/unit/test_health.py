"""Tests the health endpoints, and unexpected errors."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from support.app import LOCAL, SECRET, Running, make_settings, running_app

from chatkit_engine.observability import health
from chatkit_engine.observability.health import HealthStatus
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import bearer, with_jwt
from chatkit_engine.testing.features import AddFeature

CORE_CHECKS = ["accepting", "database", "migrations", "model"]
FAULTY = """
from fastapi import APIRouter

from chatkit_engine.builder import Builder

router = APIRouter()


@router.get("/api/fault")
async def fault() -> None:
    raise RuntimeError("a secret detail")


def install(builder: Builder) -> None:
    builder.add_router(router)
"""


async def test_a_live_process_says_so(app: Running) -> None:
    assert (await app.http.get("/health/live")).json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_load_balancers_may_ask_with_head(app: Running, path: str) -> None:
    response = await app.http.head(path)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


async def test_readiness_lists_all_checks(app: Running) -> None:
    ready = await app.http.get("/health/ready")

    assert ready.status_code == 200
    names = [check["name"] for check in ready.json()["checks"]]
    assert names[: len(CORE_CHECKS)] == CORE_CHECKS
    assert "demo" in ready.json()["checks"][3]["detail"]


async def test_a_check_without_an_answer_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is cut off takes a request and says nothing for a minute."""

    async def database() -> HealthStatus:
        await asyncio.sleep(60)
        return HealthStatus(name="database", ok=True)

    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)

    assert not (await health.run_check(database)).ok


async def test_production_waits_for_its_migrations_and_names_them(tmp_path: Path) -> None:
    settings = make_settings(
        environment="production",
        public_url="https://chat.example.com",
        auth_mode="jwt",
        jwt_secret=SECRET,
        openai_api_key="sk-test",
        database_url=f"sqlite:///{tmp_path}/chat.db",
    )
    async with running_app(settings) as app:
        ready = await app.http.get("/health/ready")
        docs = await app.http.get("/openapi.json")

    assert ready.status_code == 503
    checks = {check["name"]: check for check in ready.json()["checks"]}
    assert [name for name in CORE_CHECKS if not checks[name]["ok"]] == ["migrations"]
    assert "core:0001" in checks["migrations"]["detail"]
    assert docs.status_code == 404


async def test_an_unplanned_error_is_a_500_without_its_text(
    settings: Settings, add_feature: AddFeature
) -> None:
    add_feature("faulty", FAULTY)

    async with running_app(settings) as app:
        response = await app.http.get("/api/fault")

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text


async def test_many_who_ask_at_once_share_one_check() -> None:
    runs = 0

    async def database() -> HealthStatus:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return HealthStatus(name="database", ok=True)

    check = health.SharedCheck(database)
    leaver = asyncio.create_task(check())
    await asyncio.sleep(0)
    leaver.cancel()
    results = await asyncio.gather(*(check() for _ in range(100)))

    assert runs == 1
    assert all(result.ok for result in results)


async def test_a_result_is_kept_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [True, False]

    async def database() -> HealthStatus:
        return HealthStatus(name="database", ok=answers.pop(0))

    kept = health.SharedCheck(database)
    assert [(await kept()).ok, (await kept()).ok] == [True, True]
    answers = [True, False]
    monkeypatch.setattr(health, "FRESH_SECONDS", 0)
    fresh = health.SharedCheck(database)

    assert [(await fresh()).ok, (await fresh()).ok] == [True, False]


@pytest.mark.parametrize(
    ("headers", "peer", "sees"),
    [
        ({}, "127.0.0.1", True),
        ({}, "203.0.113.9", False),
        ({"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", False),
        ({"Forwarded": "for=127.0.0.1"}, "127.0.0.1", False),
        ({"Via": "1.1 proxy"}, "127.0.0.1", False),
        ({"Authorization": "Bearer nonsense"}, "203.0.113.9", False),
    ],
)
async def test_strangers_are_told_only_whether_the_server_is_ready(
    settings: Settings, headers: dict[str, str], peer: str, sees: bool
) -> None:
    async with running_app(with_jwt(settings)) as app:
        transport = httpx2.ASGITransport(app.app, client=(peer, 1))
        async with httpx2.AsyncClient(transport=transport, base_url=LOCAL) as http:
            ready = await http.get("/health/ready", headers=headers)
            user = headers | bearer(with_jwt(settings), "ada")
            of_a_user = await http.get("/health/ready", headers=user)

    assert ready.status_code == 200
    assert ("checks" in ready.json()) == sees
    assert "checks" in of_a_user.json()
