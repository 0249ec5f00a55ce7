"""Calls the application's own server as its clients do."""

from datetime import timedelta
from typing import Any

import httpx2
from support.app import SECRET, make_settings

from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings

HEADERS = {"Accept": "application/json, text/event-stream"}
JWT = {"auth_mode": "jwt", "jwt_secret": SECRET}


def with_users(settings: Settings) -> Settings:
    return make_settings(**settings.model_dump() | JWT)


def bearer(settings: Settings, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, user, timedelta(hours=1))}"}


async def post(
    http: httpx2.AsyncClient,
    method: str,
    params: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await http.post("/mcp", json=message, headers=HEADERS | (headers or {}))


async def post_call(
    http: httpx2.AsyncClient, tool: str, headers: dict[str, str] | None = None, **params: Any
) -> dict[str, Any]:
    """Call a tool over HTTP, and return the result."""
    response = await post(http, "tools/call", {"name": tool, **params}, headers)
    assert response.status_code == 200, response.text
    return response.json()["result"]


def told(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])
