"""Tests which settings are accepted. Errors never contain a value."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chatkit_engine.features.mcp.settings import McpSettings
from chatkit_engine.settings.base import settings_errors

SECRET = "hunter2-hunter2"


def _explained(monkeypatch: pytest.MonkeyPatch, value: str) -> str:
    monkeypatch.setenv("MCP_SERVERS", value)
    with pytest.raises(ValidationError) as caught:
        McpSettings()
    assert SECRET not in str(caught.value)
    return "\n".join(settings_errors(caught.value))


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({}, "either a command or a url"),
        ({"command": "x", "url": "http://x/mcp"}, "either a command or a url"),
        ({"command": "x", "headers": {"Authorization": SECRET}}, "headers need a url"),
        ({"url": "http://x/mcp", "env": {"KEY": SECRET}}, "env and cwd need a command"),
        ({"url": f"ftp://{SECRET}/mcp"}, "must be a URL such as"),
        ({"url": "http://x/mcp", "headers": SECRET}, "docs.headers"),
        ({"url": "http://x/mcp", "approval": 5}, "docs.approval"),
        ({"url": "http://x/mcp", "timeout_seconds": 0}, "docs.timeout_seconds"),
        ({"url": "http://x/mcp", "tokn": SECRET}, "docs.tokn"),
        ({"command": ""}, "docs.command"),
    ],
)
def test_an_invalid_server_is_named_with_its_problem(
    monkeypatch: pytest.MonkeyPatch, server: dict[str, Any], said: str
) -> None:
    explained = _explained(monkeypatch, json.dumps({"docs": server}))

    assert explained.startswith("MCP_SERVERS: docs")
    assert said in explained


@pytest.mark.parametrize(
    "value",
    [
        '{"docs": ' + SECRET,
        f'["{SECRET}"]',
        "[" * 100_000,
        '{"Docs!": {"command": "x"}}',
        '{"a_b": {"command": "x"}}',
        '{"app": {"command": "x"}}',
    ],
)
def test_invalid_server_lists_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert _explained(monkeypatch, value).startswith("MCP_SERVERS: ")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = {
        "docs": {"url": "https://x/mcp", "headers": {"Authorization": SECRET}},
        "files": {"command": "x", "env": {"KEY": SECRET}},
    }
    monkeypatch.setenv("MCP_SERVERS", json.dumps(servers))

    settings = McpSettings()

    assert SECRET not in repr(settings)
    assert settings.mcp_servers["docs"].headers["Authorization"].get_secret_value() == SECRET


@pytest.mark.parametrize("user", ["x" * 256, "a\tb"])
def test_the_user_must_be_a_valid_subject(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("MCP_USER", user)

    with pytest.raises(ValidationError, match="printable"):
        McpSettings()
