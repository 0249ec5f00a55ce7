"""`make demo`: render the template, install it, give it documents, and hold a conversation."""

import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import copier

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / ".build" / "my-assistant"
DOCUMENTS = "docs"
TURNS = (
    "Hello! Who are you?",
    "What time is it in my time zone?",
    "Add a note: buy milk",
    "Search my notes: milk",
    "Search the documents: how do I move from SQLite to PostgreSQL?",
)
TIMEZONE = "Europe/Berlin"
START_SECONDS = 60


def main() -> None:
    _say(f"Rendering the template into {PROJECT.relative_to(ROOT)}")
    shutil.rmtree(PROJECT, ignore_errors=True)
    copier.run_copy(str(ROOT), PROJECT, defaults=True, quiet=True, vcs_ref="HEAD")
    _say("Installing it")
    install = [_uv(), "sync", "--quiet", "--no-dev"]
    subprocess.run(install, cwd=PROJECT, env=_environment(), check=True)
    _say(f"Giving it documents: uv run my-assistant ingest {DOCUMENTS}")
    _run("my-assistant", "ingest", DOCUMENTS)
    port = _free_port()
    _say(f"Starting it: uv run my-assistant serve --port {port}")
    with _server(port):
        thread = None
        for message in TURNS:
            print(f"\nyou        {message}")
            thread = _turn(port, message, thread)
    _say("Go on")
    run = f"{_shown_uv()} run --no-dev my-assistant"
    print(f"  cd {PROJECT.relative_to(ROOT)}")
    print(f"  {run} serve        # then open http://127.0.0.1:8000/docs")
    print(f'  {run} chat "Hello" # in another terminal')
    print(f"  OPENAI_API_KEY=... {run} serve   # a real model")


def _run(*command: str) -> None:
    arguments = [_uv(), "run", "--no-sync", *command]
    subprocess.run(arguments, cwd=PROJECT, env=_environment(), check=True)


@contextmanager
def _server(port: int) -> Iterator[None]:
    command = [_uv(), "run", "--no-sync", "my-assistant", "serve", "--port", str(port)]
    log = PROJECT / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=_environment(), stdout=output, stderr=output
        )
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait()
    log.unlink()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"The server did not start:\n{log.read_text()}")


def _turn(port: int, message: str, thread: str | None) -> str:
    """Stream one turn to the terminal, and return its thread's id."""
    body = {"message": message, "thread_id": thread, "stream": True}
    body["context"] = {"timezone": TIMEZONE}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/chat", json.dumps(body), headers)
    for name, data in _events(connection.getresponse()):
        thread = data["thread_id"] if name == "thread" else thread
        _show(name, data)
    connection.close()
    return thread or sys.exit("The server named no thread.")


def _show(name: str, data: dict[str, Any]) -> None:
    """Print what one event tells: a tool that is called, text as it comes, what it is based on."""
    if name == "tool" and data["status"] == "called":
        print(f"tool       {data['name']}")
    elif name == "delta":
        print(data["text"], end="", flush=True)
    elif name == "message":
        print("\n" + "".join(f"based on   {each['title']}\n" for each in data["citations"]), end="")
    elif name == "error":
        sys.exit(data["message"])


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for raw in response:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def _environment() -> dict[str, str]:
    """Leave out what would change the demo: a model's key, and this repository's environment."""
    ours = ("OPENAI_", "LLM_", "DATABASE_URL", "VIRTUAL_ENV", "UV_PROJECT", "AUTH_", "ENVIRONMENT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _uv() -> str:
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"


def _shown_uv() -> str:
    """Return how a shell finds uv: `make` and this environment have their own."""
    path = os.environ["PATH"].split(os.pathsep)
    outside = os.pathsep.join(each for each in path if Path(each) != Path(sys.executable).parent)
    return "uv" if shutil.which("uv", path=outside) else shlex.quote(_uv())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(step: str) -> None:
    print(f"\n== {step}", flush=True)


if __name__ == "__main__":
    main()
