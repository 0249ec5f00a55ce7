"""The servers of one run, with the fake model that all but one of them talk to."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
from load import Client, Load, Scenario
from report import BARE, MINIMAL, PROJECT, WITHOUT_STORE
from servers import (
    BENCH,
    HOST,
    LOAD_CPU,
    SERVE,
    Command,
    Process,
    all_running,
    http_client,
    project_command,
    python_path,
    running,
    uvicorn_command,
)

TOKEN_EXPIRES = 4_102_444_800


@dataclass(frozen=True)
class Plan:
    """How long a run takes. Seconds."""

    rounds: int
    warm_up: float
    window: float
    list_requests: int
    page_repeats: int


DEFAULT = Plan(rounds=3, warm_up=1.75, window=3.5, list_requests=200, page_repeats=200)
QUICK = Plan(rounds=1, warm_up=1.0, window=2.0, list_requests=100, page_repeats=50)


@dataclass(frozen=True)
class Site:
    """The servers of one run, their model, and the secret that signs their users' tokens."""

    processes: dict[str, Process]
    model: Process
    secret: str

    def token(self, user: str) -> str:
        claims = {"sub": user, "exp": TOKEN_EXPIRES}
        return jwt.encode(claims, self.secret, algorithm="HS256")

    @asynccontextmanager
    async def load(self, process: Process, scenario: Scenario) -> AsyncGenerator[Load]:
        """Yield the load that a scenario puts on a server, a user for each stream."""
        async with http_client() as http:
            clients = [
                Client(http, process.url, self.token(f"user-{number}"))
                for number in range(scenario.streams)
            ]
            yield Load(scenario, clients)


@asynccontextmanager
async def site(project: Path, folder: Path) -> AsyncGenerator[Site]:
    """Start the fake model and the servers, each with a folder of its own."""
    secret = secrets.token_hex(32)
    fake = Command((str(BENCH / "fake_model.py"),), {}, cpu=LOAD_CPU)
    async with running(fake, folder / "model") as model:
        commands = _commands(project, f"{model.url}/v1", secret)
        async with all_running(commands, folder / "servers") as processes:
            yield Site(processes, model, secret)


def _commands(project: Path, model_url: str, secret: str) -> dict[str, Command]:
    model = {
        "OPENAI_API_KEY": "not-a-key",
        "OPENAI_BASE_URL": model_url,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    ours = {
        **model,
        "AUTH_MODE": "jwt",
        "JWT_SECRET": secret,
        "HOST": HOST,
        # The peers write no titles.
        "THREAD_TITLES": "false",
    }
    with_project = {**ours, "PYTHONPATH": python_path(project)}
    with_peers = {**model, "PYTHONPATH": str(BENCH)}
    return {
        PROJECT: project_command(("-c", SERVE), with_project),
        WITHOUT_STORE: project_command((str(BENCH / "without_store.py"),), with_project),
        MINIMAL: uvicorn_command("peer_minimal:app", with_peers),
        BARE: uvicorn_command("peer_bare:app", with_peers),
    }
