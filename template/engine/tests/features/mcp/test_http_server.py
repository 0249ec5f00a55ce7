"""Tests the server over HTTP. Only the token names the user."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from features.mcp.rpc import HEADERS, bearer, post, post_call, told, with_users
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from support.app import SECRET, Running, running_app, running_server

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.features import AddFeature

TOOLS = '''
from mcp.types import ToolAnnotations

from chatkit_engine.errors import Conflict

FOR_THE_ASSISTANT = ()


def add_tools(server, database, user_of):
    @server.tool()
    async def who(context: Context) -> str:
        """Say for whom this is."""
        return user_of(context).id

    @server.tool()
    async def break_down(kind: int, context: Context) -> str:
        """Break."""
        if kind == 1:
            raise Conflict("Choose another parcel.")
        if kind == 2:
            return await database.read(lambda c: c.exec_driver_sql("SELECT secret FROM nowhere"))
        raise RuntimeError("a secret of the inside")
'''


@pytest.fixture(autouse=True)
def _feature(add_feature: AddFeature, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """A feature that adds tools to the server."""
    add_feature("parcels", "def install(builder):\n    pass\n")
    source = "from mcp.server.mcpserver import Context\n" + TOOLS
    (tmp_path / "features" / "parcels" / "mcp_tools.py").write_text(source)
    monkeypatch.delitem(sys.modules, "sample.features.parcels.mcp_tools", raising=False)


@pytest.fixture
async def app_with_users(settings: Settings) -> AsyncGenerator[Running]:
    async with running_app(with_users(settings)) as running:
        yield running


async def test_it_lists_the_tools_of_features_and_its_own(app: Running) -> None:
    listed = (await post(app.http, "tools/list", {})).json()["result"]["tools"]

    names = {tool["name"] for tool in listed}
    assert {"search_threads", "who", "break_down"} <= names
    [search] = [tool for tool in listed if tool["name"] == "search_threads"]
    assert search["annotations"] == {"readOnlyHint": True, "openWorldHint": False}
    assert set(search["inputSchema"]["properties"]) == {"query", "limit"}


async def test_local_mode_has_the_one_user(app: Running) -> None:
    assert told(await post_call(app.http, "who")) == "local"


async def test_the_token_names_the_user_and_meta_is_ignored(
    app_with_users: Running, settings: Settings
) -> None:
    meta = {"chatkit/user": "bob"}
    token = bearer(with_users(settings), "ada")

    result = await post_call(app_with_users.http, "who", token, _meta=meta)

    assert told(result) == "ada"


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer ", "Bearer x.y.z", "Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."],
)
async def test_a_request_without_a_valid_token_is_refused(
    app_with_users: Running, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    response = await post(app_with_users.http, "tools/list", {}, headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "unauthenticated"


async def test_a_token_that_somebody_else_signed_is_refused(
    app_with_users: Running, settings: Settings
) -> None:
    forger = with_users(settings).model_copy(update={"jwt_secret": SecretStr(SECRET[::-1])})

    response = await post(app_with_users.http, "tools/list", {}, bearer(forger, "ada"))

    assert response.status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example:8000"}]
)
async def test_a_page_of_another_site_cannot_call_it(app: Running, headers: dict[str, str]) -> None:
    assert (await post(app.http, "tools/list", {}, headers)).status_code == 403


async def test_any_host_is_accepted_with_a_token(
    app_with_users: Running, settings: Settings
) -> None:
    headers = bearer(with_users(settings), "ada") | {"Host": "chat.example.com"}

    assert (await post(app_with_users.http, "tools/list", {}, headers)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "said"),
    [(1, "Choose another parcel."), (2, "Run `migrate`"), (3, "The server's log says why.")],
)
async def test_an_error_says_what_to_do_and_never_an_exceptions_text(
    app: Running, kind: int, said: str
) -> None:
    result = await post_call(app.http, "break_down", arguments={"kind": kind})

    assert result["isError"] is True
    assert said in told(result)
    assert "secret" not in told(result)
    assert "Error executing" not in told(result)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"query": ""},
        {"query": "a\x00b"},
        {"query": "x" * 501},
        {"query": "milk", "limit": 10**9},
        {"query": ["a-secret"]},
        {"query": {"a": {"a-secret": 1}}},
    ],
)
async def test_wrong_arguments_are_named_without_their_values(
    app: Running, arguments: dict[str, Any]
) -> None:
    result = await post_call(app.http, "search_threads", arguments=arguments)

    assert result["isError"] is True
    assert told(result).startswith("The arguments do not fit the tool's schema.")
    assert "a-secret" not in told(result)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": 5}',
        b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]',
    ],
)
@pytest.mark.parametrize("version", [None, "2026-07-28", "nonsense"])
async def test_a_body_that_is_not_a_message_is_refused(
    app: Running, body: bytes, version: str | None
) -> None:
    headers = HEADERS | {"Content-Type": "application/json"}
    if version:
        headers |= {"MCP-Protocol-Version": version}

    response = await app.http.post("/mcp", content=body, headers=headers)

    assert 400 <= response.status_code < 500


@pytest.mark.parametrize(
    "params",
    [
        b'{"name": "search_threads", "arguments": {"query": "\\ud83d"}}',
        b'{"name": "search_threads", "arguments": 5}',
        b'{"name": "search_threads", "_meta": 5}',
        b'{"name": "\\u0000"}',
        b'{"name": 5}',
        b"{}",
        b"5",
    ],
)
async def test_invalid_params_are_an_error(app: Running, params: bytes) -> None:
    message = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ' + params + b"}"
    headers = HEADERS | {"Content-Type": "application/json"}

    response = await app.http.post("/mcp", content=message, headers=headers)

    assert response.status_code < 500
    if response.status_code == 200:
        answer = response.json()
        assert "error" in answer or answer["result"]["isError"]


async def test_a_body_that_is_too_large_is_refused(app: Running) -> None:
    response = await post(app.http, "tools/list", {"padding": "x" * (5 * 1024 * 1024)})

    assert response.status_code == 413


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_is_no_stream_and_no_session(app: Running, method: str) -> None:
    response = await app.http.request(method, "/mcp", headers=HEADERS)

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"


async def test_a_subscription_is_refused_at_once(app: Running) -> None:
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "a client", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
    listen = "subscriptions/listen"
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": listen}

    async with asyncio.timeout(10):
        response = await post(app.http, listen, params, headers)

    assert response.json()["error"]["message"] == "Method not found"


async def test_it_can_be_switched_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_HTTP", "false")

    async with running_app(settings) as app:
        assert (await post(app.http, "tools/list", {})).status_code == 404


async def test_two_apps_one_after_the_other_serve_it(settings: Settings) -> None:
    for _ in range(2):
        async with running_app(settings) as app:
            assert told(await post_call(app.http, "who")) == "local"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_sdks_client_calls_it_over_a_socket(tmp_path: Any, mode: str) -> None:
    with running_server(tmp_path, AUTH_MODE="jwt", JWT_SECRET=SECRET) as server:
        settings = with_users(Settings())
        found: list[str] = []
        for user in ("ada", "bob"):
            async with (
                httpx2.AsyncClient(headers=bearer(settings, user)) as http,
                Client(
                    streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode
                ) as client,
            ):
                if user == "ada":
                    body = {"message": "The parcel is blue"}
                    await http.post(f"{server.url}/api/chat", json=body)
                result = await client.call_tool("search_threads", {"query": "parcel"})
                found.append(str(result.structured_content))

    assert "parcel" in found[0]
    assert found[1] == str({"result": []})
