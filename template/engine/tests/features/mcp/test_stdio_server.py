"""Tests the server over stdio as a real process, whose parent names the user."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from features.mcp.processes import runs
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent
from support.app import SAMPLE, SECRET, TESTS

from chatkit_engine.application import Application
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.migrate import upgrade
from chatkit_engine.testing.waiting import eventually

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "chatkit_engine.features.mcp", "sample"]
END_SECONDS = 20


@pytest.fixture
async def database_url(file_settings: Settings) -> str:
    """The URL of a database with all its tables."""
    application = Application(file_settings, SAMPLE)
    await upgrade(application.database, application.migrations)
    await application.database.aclose()
    return file_settings.database_url


@asynccontextmanager
async def _connected(**env: str) -> AsyncGenerator[Client]:
    variables = {"PYTHONPATH": str(TESTS), **env}
    process = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=variables)
    async with Client(process) as client:
        yield client


async def _call(
    client: Client, tool: str, user: str | None = None, **arguments: Any
) -> CallToolResult:
    meta: Any = {"chatkit/user": user} if user is not None else None
    return await client.call_tool(tool, arguments, meta=meta)


def _told(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


async def test_each_call_acts_as_the_user_that_it_names(database_url: str) -> None:
    async with _connected(DATABASE_URL=database_url) as client:
        assert "search_threads" in {tool.name for tool in (await client.list_tools()).tools}
        for user in ("ada", "bob", None):
            found = await _call(client, "search_threads", user, query="milk")
            assert found.structured_content == {"result": []}
        unusable = await _call(client, "search_threads", "a\nb", query="milk")

    assert unusable.is_error
    assert "printable" in _told(unusable)


async def test_with_tokens_a_call_must_name_a_user(database_url: str) -> None:
    env = {"DATABASE_URL": database_url, "AUTH_MODE": "jwt", "JWT_SECRET": SECRET}

    async with _connected(**env) as client:
        unnamed = await _call(client, "search_threads", query="milk")
        named = await _call(client, "search_threads", "ada", query="milk")
    async with _connected(**env, MCP_USER="ada") as client:
        set_once = await _call(client, "search_threads", query="milk")

    assert unnamed.is_error
    assert "MCP_USER" in _told(unnamed)
    assert not named.is_error
    assert not set_once.is_error


async def test_a_database_without_tables_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async with _connected(DATABASE_URL=f"sqlite:///{tmp_path}/new.db") as client:
        result = await _call(client, "search_threads", query="milk")

    assert result.is_error
    assert "Run `migrate`" in _told(result)


def _start(**env: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    variables = {"PYTHONPATH": str(TESTS), "PATH": os.environ["PATH"], **env}
    return subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=variables, text=True)


def test_it_ends_with_its_input_and_prints_only_messages(tmp_path: Path) -> None:
    process = _start(DATABASE_URL=f"sqlite:///{tmp_path}/new.db", LOG_LEVEL="DEBUG")

    said, _log = process.communicate("no message\n", timeout=END_SECONDS)

    assert process.returncode == 0
    assert said == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = _start(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")
    ask: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}}
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(ask) + "\n")
    process.stdin.flush()
    assert process.stdout.readline()

    process.send_signal(number)

    assert process.wait(timeout=END_SECONDS) == -number
    process.communicate()


def test_wrong_settings_are_explained_in_one_line_each() -> None:
    process = _start(AUTH_MODE="jwt", MCP_SERVERS="{")

    said, log = process.communicate(timeout=END_SECONDS)

    assert process.returncode == 1
    assert said == ""
    assert log.splitlines() == [
        "AUTH_MODE=jwt needs JWT_SECRET: run `openssl rand -hex 32` and set it"
    ]


async def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = """
import subprocess, sys, time
command = [sys.executable, "-m", "chatkit_engine.features.mcp", "sample"]
child = subprocess.Popen(command, stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(600)
"""
    env = os.environ | {"PYTHONPATH": str(TESTS), "DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=subprocess.PIPE, env=env
    )
    assert process.stdout
    child = int(await process.stdout.readline())
    await asyncio.sleep(1)
    assert runs(child)

    process.kill()
    await process.wait()

    async def has_ended() -> bool:
        return not runs(child)

    await eventually(has_ended)
