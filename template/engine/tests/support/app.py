"""The app as production makes it, in this process or as a server of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from chatkit_engine.application import create_app
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.settings.core import Settings
from tests.support.fake_model_api import FakeModelApi
from tests.support.features import wanted_environment
from tests.support.ports import free_port
from tests.support.requests import Json, events, op

LOCAL = "http://localhost:8000"
SECRET = "for-tests-only-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOP"
ROOT = Path(__file__).parents[2]
START_SECONDS = 90
ENTRY = "from chatkit_engine.cli import main; main()"


def make_settings(**values: Any) -> Settings:
    """Return settings of plain values, such as a secret that is a text."""
    return Settings(**values)


def with_provider(
    settings: Settings, model_api: FakeModelApi, provider: str, **values: Any
) -> Settings:
    """Return settings for a provider that the fake stands for."""
    chosen = {
        "llm_provider": provider,
        "llm_base_url": model_api.url,
        "llm_model": "fake",
        "llm_max_retries": 0,
        "openai_api_key": "sk-test",
    }
    return Settings.model_validate(settings.model_dump() | chosen | values)


@dataclass
class Running:
    """An application that runs, and a client to it."""

    app: FastAPI
    http: httpx2.AsyncClient

    async def chatkit(self, request: object) -> httpx2.Response:
        return await self.http.post("/chatkit", json=request)

    async def ask(self, request: Json) -> list[Json]:
        """Send a request that opens a turn, and return its events."""
        response = await self.chatkit(request)
        assert response.status_code == 200, response.text
        return events(response.text)

    async def items(self, thread: str) -> list[Json]:
        """Return a thread's items as the front end lists them, oldest first."""
        request = op("items.list", thread_id=thread, order="asc", limit=100)
        return (await self.chatkit(request)).json()["data"]


@asynccontextmanager
async def running_app(
    settings: Settings, model: ChatModel | None = None
) -> AsyncGenerator[Running]:
    app = create_app(settings, model)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=LOCAL) as http,
    ):
        yield Running(app, http)


@dataclass
class Server:
    """The command `serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_server(folder: Path, entry: str = ENTRY, **environment: str) -> Generator[Server]:
    """Serve from `folder`, with nothing of this process's environment but the path.

    `entry` is Python that runs the command.
    """
    port = free_port()
    log = folder / f"server-{port}.log"
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "DATABASE_URL": "sqlite:///data/chat.db",
        "DEFAULT_PROVIDER": "openai",
        **wanted_environment(),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", entry, "serve"],
            cwd=folder,
            env=inherited | settings,
            stdout=output,
            stderr=output,
        )
    server = Server(process, f"http://127.0.0.1:{port}", folder, log)
    try:
        _wait_until_live(server)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_until_live(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            httpx2.get(f"{server.url}/health/live")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server did not start:\n{server.log.read_text()}")
