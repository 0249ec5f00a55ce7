"""Runs an application as in production: in this process, or as a separate server process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI

from chatkit_engine.application import create_app
from chatkit_engine.http.services import Services, services_of
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.ports import free_port
from chatkit_engine.testing.requests import Json, events, op
from chatkit_engine.turns.service import ChatService

LOCAL = "http://localhost:8000"
SECRET = sha256(b"for tests only").hexdigest()
START_SECONDS = 90
S = TypeVar("S", bound=Settings)
ENTRY = "from chatkit_engine.cli import main; main({app!r})"
# The own MCP server is off, because it would be another process for each application.
QUIET = {"MCP_OWN_SERVER": "false", "DEFAULT_PROVIDER": "openai"}


def make_settings(**values: Any) -> Settings:
    """Return settings from plain values, for example a secret as a string."""
    return Settings(**values)


def with_provider(
    settings: S, model_api: FakeModelApi, provider: str = "openai", **values: Any
) -> S:
    """Return settings for a provider whose API the fake replaces."""
    chosen = {
        "llm_provider": provider,
        "llm_base_url": model_api.url,
        "llm_model": "fake",
        "llm_max_retries": 0,
        "openai_api_key": "sk-test",
    }
    return type(settings).model_validate(settings.model_dump() | chosen | values)


def with_jwt(settings: S) -> S:
    """Return settings for several users: `AUTH_MODE=jwt`."""
    values = {"auth_mode": "jwt", "jwt_secret": SECRET}
    return type(settings).model_validate(settings.model_dump() | values)


def bearer(settings: Settings, user: str) -> dict[str, str]:
    """Return the headers of a request by a user. `settings` must be `with_jwt`."""
    return {"Authorization": f"Bearer {issue_token(settings, user, timedelta(hours=1))}"}


@dataclass
class Running:
    """A running application and a client for it."""

    app: FastAPI
    http: httpx2.AsyncClient

    @property
    def services(self) -> Services:
        return services_of(self.app)

    @property
    def chat_service(self) -> ChatService:
        chat = self.services.chat
        assert chat is not None
        return chat

    async def chatkit(
        self, request: object, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Send a request of the ChatKit protocol."""
        return await self.http.post("/chatkit", json=request, headers=headers)

    async def ask(self, request: Json, headers: Mapping[str, str] | None = None) -> list[Json]:
        """Send a request that starts a turn, and return its events."""
        response = await self.chatkit(request, headers)
        assert response.status_code == 200, response.text
        return events(response.text)

    async def chat(self, message: str, **body: Any) -> Json:
        """Send a message to `/api/chat`, and return the whole answer."""
        response = await self.http.post("/api/chat", json={"message": message, **body})
        assert response.status_code == 200, response.text
        return response.json()

    async def items(self, thread: str) -> list[Json]:
        """Return a thread's items as a front end lists them, oldest first."""
        request = op("items.list", thread_id=thread, order="asc", limit=100)
        return (await self.chatkit(request)).json()["data"]


@asynccontextmanager
async def running_app(
    settings: Settings, model: ChatModel | None = None, *, app: str = "app"
) -> AsyncGenerator[Running]:
    """Run an application in this process."""
    api = create_app(settings, app, model=model)
    transport = httpx2.ASGITransport(api, raise_app_exceptions=False)
    async with (
        api.router.lifespan_context(api),
        httpx2.AsyncClient(transport=transport, base_url=LOCAL) as http,
    ):
        yield Running(api, http)


@dataclass
class Server:
    """The command `serve` in its own process."""

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
def running_server(
    folder: Path, entry: str | None = None, *, app: str = "app", **environment: str
) -> Generator[Server]:
    """Run the command `serve` in `folder`, with only the paths of this process's environment.

    `entry` is Python code that runs the command, in place of the default.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / f"server-{port}.log"
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PORT": str(port),
        "PUBLIC_URL": url,
        "DATABASE_URL": "sqlite:///data/chat.db",
        **QUIET,
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", entry or ENTRY.format(app=app), "serve"],
            cwd=folder,
            env=inherited | settings,
            stdout=output,
            stderr=output,
        )
    server = Server(process, url, folder, log)
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
