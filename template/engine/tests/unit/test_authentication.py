"""Tests authentication: tokens if AUTH_MODE=jwt, only this machine if AUTH_MODE=local."""

import base64
import json
import re
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import pytest
from support.app import SAMPLE, SECRET, Running, make_settings, running_app

from chatkit_engine.application import create_app
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.requests import add, create, events, op, thread_id

HOUR = timedelta(hours=1)
FUTURE = 4_000_000_000


@pytest.fixture
def jwt_settings() -> Settings:
    return make_settings(
        database_url="sqlite:///:memory:",
        auth_mode="jwt",
        jwt_secret=SECRET,
        jwt_issuer="https://issuer.example",
        jwt_audience="chat",
    )


@pytest.fixture
async def jwt_app(jwt_settings: Settings) -> AsyncGenerator[Running]:
    async with running_app(jwt_settings) as running:
        yield running


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"sub": "ada", "exp": FUTURE, "iss": "https://issuer.example", "aud": "chat"}
    return {name: value for name, value in (claims | changes).items() if value is not None}


def _unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


async def test_an_issued_token_is_accepted(jwt_app: Running, jwt_settings: Settings) -> None:
    token = issue_token(jwt_settings, "ada", HOUR)

    response = await jwt_app.http.get("/api/threads", headers=_bearer(token))

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("changes", "seconds_from_now"),
    [
        ({"sub": 42}, {}),
        ({"aud": ["other", "chat"]}, {}),
        ({}, {"exp": -5}),
        ({}, {"nbf": 20, "iat": 20}),
    ],
)
async def test_what_other_issuers_write_is_accepted(
    jwt_app: Running, changes: dict[str, Any], seconds_from_now: dict[str, int]
) -> None:
    now = int(time.time())
    times = {name: now + seconds for name, seconds in seconds_from_now.items()}
    token = jwt.encode(_claims(**changes, **times), SECRET)

    response = await jwt_app.http.get("/api/threads", headers=_bearer(token))

    assert response.status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "é",
        _unsigned(_claims()),
        jwt.encode(_claims(), "another-secret-another-secret-another"),
        jwt.encode(_claims(), SECRET, algorithm="HS512"),
        jwt.encode(_claims(exp=1), SECRET),
        jwt.encode(_claims(exp=None), SECRET),
        jwt.encode(_claims(sub=None), SECRET),
        jwt.encode(_claims(sub=""), SECRET),
        jwt.encode(_claims(sub=True), SECRET),
        jwt.encode(_claims(sub=1.5), SECRET),
        jwt.encode(_claims(sub=["ada"]), SECRET),
        jwt.encode(_claims(aud=["other"]), SECRET),
        jwt.encode(_claims(sub="x" * 300), SECRET),
        jwt.encode(_claims(sub="a\x00b"), SECRET),
        jwt.encode(_claims(iss="https://other.example"), SECRET),
        jwt.encode(_claims(iss=None), SECRET),
        jwt.encode(_claims(aud="other"), SECRET),
        jwt.encode(_claims(aud=None), SECRET),
        jwt.encode(_claims(nbf=FUTURE), SECRET),
    ],
)
async def test_any_other_token_is_refused(jwt_app: Running, token: str) -> None:
    headers = httpx2.Headers([(b"Authorization", f"Bearer {token}".encode())])

    response = await jwt_app.http.post("/chatkit", json=op("threads.list"), headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["code"] == "unauthenticated"


async def test_no_token_is_refused_on_every_route_but_health(jwt_app: Running) -> None:
    paths = jwt_app.app.openapi()["paths"]
    for path, methods in paths.items():
        for method in methods:
            url = re.sub(r"\{\w+\}", "x_1", path)
            response = await jwt_app.http.request(method, url, json={})
            expected = {200} if path.startswith("/health") else {401}
            assert response.status_code in expected, f"{method} {path}"


async def test_another_users_thread_looks_like_a_missing_one(
    jwt_app: Running, jwt_settings: Settings
) -> None:
    ada, eve = (_bearer(issue_token(jwt_settings, name, HOUR)) for name in ("ada", "eve"))
    created = await jwt_app.http.post("/chatkit", json=create("My secret"), headers=ada)
    thread = thread_id(events(created.text))

    for request in (op("threads.get_by_id", thread_id="ID"), add("ID", "Hello")):
        text = json.dumps(request)
        answers = [
            await jwt_app.http.post(
                "/chatkit", content=text.replace('"ID"', f'"{named}"').encode(), headers=eve
            )
            for named in (thread, "thr_unknown")
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content

    found = await jwt_app.http.get("/api/threads/search", params={"q": "secret"}, headers=eve)
    assert found.json() == []
    listed = await jwt_app.http.get("/api/threads", headers=eve)
    assert listed.json()["data"] == []


async def _local(
    settings: Settings, peer: str = "127.0.0.1", url: str = "http://localhost:8000", **kwargs: Any
) -> int:
    app = create_app(settings, SAMPLE)
    transport = httpx2.ASGITransport(app, client=(peer, 5000))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=url) as http,
    ):
        kwargs = {"content": b'{"type": "threads.list", "params": {}}'} | kwargs
        headers = {"Content-Type": "application/json"} | kwargs.pop("headers", {})
        return (await http.post("/chatkit", headers=headers, **kwargs)).status_code


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000"])
async def test_local_mode_answers_this_machine(settings: Settings, url: str) -> None:
    assert await _local(settings, url=url) == 200


@pytest.mark.parametrize("peer", ["192.168.1.5", "10.0.0.1", "::ffff:8.8.8.8"])
async def test_local_mode_refuses_other_machines(settings: Settings, peer: str) -> None:
    assert await _local(settings, peer=peer) == 403


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: localhost:8000",
        "X-Forwarded-Proto: https",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Via: 1.1 proxy",
        "CF-Connecting-IP: 203.0.113.9",
        "True-Client-IP: 203.0.113.9",
        "X-Client-IP: ",
    ],
)
async def test_local_mode_refuses_what_a_proxy_passes_on(settings: Settings, header: str) -> None:
    name, _colon, value = header.partition(": ")
    assert await _local(settings, headers={name: value}) == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "evil@localhost", "localhost/x", ""]
)
async def test_local_mode_refuses_a_rebound_host(settings: Settings, host: str) -> None:
    assert await _local(settings, headers={"Host": host}) == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://localhost:8000", 200),
        ("http://localhost:9999", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_local_mode_checks_the_origin(settings: Settings, origin: str, status: int) -> None:
    assert await _local(settings, headers={"Origin": origin}) == status


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", None, 403),
        ("cross-site", "http://localhost:3000", 200),
        ("same-site", None, 200),
        ("none", None, 200),
    ],
)
async def test_local_mode_checks_sec_fetch_site_without_an_origin(
    settings: Settings, site: str, origin: str | None, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site} | ({"Origin": origin} if origin else {})

    assert await _local(settings, headers=headers) == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_local_mode_takes_json_only(settings: Settings, kind: str) -> None:
    assert await _local(settings, headers={"Content-Type": kind}) == 415


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("capacitor://localhost", "capacitor://localhost"),
        ("https://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
async def test_a_page_from_a_private_network_or_an_app_may_ask(
    settings: Settings, allowed: str, origin: str
) -> None:
    settings = Settings(database_url=settings.database_url, allowed_origins=[allowed])
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    async with running_app(settings) as app:
        asked = await app.http.options("/chatkit", headers=preflight)
        other = preflight | {"Origin": "https://evil.example"}
        refused = await app.http.options("/chatkit", headers=other)

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin
    assert asked.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-origin" not in refused.headers


async def test_allowed_origins_get_cors_headers_and_others_none(settings: Settings) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    home = {"Origin": "http://localhost:3000"}
    async with running_app(settings) as app:
        allowed = await app.http.options("/chatkit", headers=preflight | home)
        other = await app.http.options(
            "/chatkit", headers=preflight | {"Origin": "https://evil.example"}
        )
        answered = await app.http.get("/api/threads", headers=home)

    assert allowed.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert "idempotency-key" in allowed.headers["access-control-allow-headers"].lower()
    readable = answered.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-ID", "Retry-After", "Idempotent-Replayed"} <= set(readable)
    assert "access-control-allow-origin" not in other.headers
