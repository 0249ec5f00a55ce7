"""The one command: renders the project and measures it against its peers. See README.md.

Every ratio is between medians of one run, whose rounds take the servers in turns.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import copier
import jwt
import uvloop
from load import Client, Load, Scenario, Window, open_threads, watch_lists
from report import BARE, MINIMAL, PROJECT, WITHOUT_STORE, Results, report
from servers import (
    BENCH,
    HOST,
    LOAD_CPU,
    SERVE,
    Command,
    Process,
    all_running,
    http_client,
    pin,
    project_command,
    running,
    uvicorn_command,
)

REPOSITORY = BENCH.parent
TOKEN_EXPIRES = 4_102_444_800
WORDS = 50
SATURATING_PACE, PACE = 200, 50
STREAMS, FEW_STREAMS, FULL_STREAMS = 64, 16, 256


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
    """The servers of one run, and the secret that signs their users' tokens."""

    processes: dict[str, Process]
    secret: str

    def token(self, user: str) -> str:
        claims = {"sub": user, "exp": TOKEN_EXPIRES}
        return jwt.encode(claims, self.secret, algorithm="HS256")


def scenarios(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the loads by name: saturating, paced, and paced where no server is saturated."""
    streams, words = options.streams, options.words
    loads = [Scenario(streams, words, options.pace), Scenario(streams, words, PACE)]
    if not options.quick:
        loads.append(Scenario(FEW_STREAMS, words, PACE))
    if options.full:
        loads.append(Scenario(FULL_STREAMS, words, PACE))
    return {f"{load.streams} streams, {load.pace} deltas/s each": load for load in loads}


@asynccontextmanager
async def site(project: Path, folder: Path) -> AsyncGenerator[Site]:
    """Start the fake model and the servers, each with a folder of its own."""
    secret = secrets.token_hex(32)
    fake = Command((str(BENCH / "fake_model.py"),), {}, cpu=LOAD_CPU)
    async with running(fake, folder / "model") as model:
        commands = _commands(project, f"{model.url}/v1", secret)
        async with all_running(commands, folder / "servers") as processes:
            yield Site(processes, secret)


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
    with_project = {**ours, "PYTHONPATH": str(project)}
    with_peers = {**model, "PYTHONPATH": str(BENCH)}
    return {
        PROJECT: project_command(("-c", SERVE), with_project),
        WITHOUT_STORE: project_command((str(BENCH / "without_store.py"),), with_project),
        MINIMAL: uvicorn_command("peer_minimal:app", with_peers),
        BARE: uvicorn_command("peer_bare:app", with_peers),
    }


async def measure(site: Site, plan: Plan, loads: dict[str, Scenario]) -> Results:
    """Take the servers in turns: the lists while the servers are fresh, then each load."""
    results = Results(with_lists=[name for name in site.processes if name != BARE])
    async with http_client() as http:
        await _measure_lists(site, http, plan, results)
    for number in range(plan.rounds):
        for load, scenario in loads.items():
            _progress(f"round {number + 1} of {plan.rounds}: {load}")
            for server, process in site.processes.items():
                results.add(load, server, await _measure_load(site, process, plan, scenario))
    results.rss_mib = {name: process.rss_mib() for name, process in site.processes.items()}
    return results


async def _measure_lists(
    site: Site, http: aiohttp.ClientSession, plan: Plan, results: Results
) -> None:
    clients = {
        server: Client(http, site.processes[server].url, site.token("lister"))
        for server in results.with_lists
    }
    for client in clients.values():
        await open_threads(client)
    for _ in range(plan.rounds):
        for server, client in clients.items():
            cpu_seconds = site.processes[server].cpu_seconds
            results.add_lists(server, await watch_lists(client, cpu_seconds, plan.list_requests))


async def _measure_load(site: Site, process: Process, plan: Plan, scenario: Scenario) -> Window:
    async with http_client() as http:
        clients = [
            Client(http, process.url, site.token(f"user-{number}"))
            for number in range(scenario.streams)
        ]
        load = Load(scenario, clients)
        return await load.watch(process.cpu_seconds, plan.warm_up, plan.window)


async def measure_pages(project: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Return the pages' times in a small store and in a large one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(BENCH / "store_pages.py"),
        "--repeats",
        str(plan.page_repeats),
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("store_pages.py failed")
    return json.loads(output)


def render(folder: Path) -> Path:
    """Render the template as it is here, uncommitted changes included."""
    project = folder / "project"
    with warnings.catch_warnings(action="ignore"):
        copier.run_copy(str(REPOSITORY), project, defaults=True, vcs_ref="HEAD", quiet=True)
    return project


async def run(options: argparse.Namespace, folder: Path) -> None:
    plan = replace(QUICK if options.quick else DEFAULT, **_given_rounds(options))
    loads = scenarios(options)
    project = options.project.resolve() if options.project else render(folder)
    pages = await measure_pages(project, plan)
    pin(os.getpid(), LOAD_CPU)
    async with site(project, folder) as servers:
        results = await measure(servers, plan, loads)
    results.pages = pages
    print(report(results))
    if options.json:
        options.json.write_text(json.dumps(results.summary(), indent=2) + "\n")


def _given_rounds(options: argparse.Namespace) -> dict[str, int]:
    return {} if options.rounds is None else {"rounds": options.rounds}


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of two loads")
    parser.add_argument("--full", action="store_true", help=f"also {FULL_STREAMS} streams")
    parser.add_argument("--rounds", type=int, help="rounds of every load")
    parser.add_argument("--streams", type=int, default=STREAMS, help="streams at once")
    parser.add_argument(
        "--pace", type=int, default=SATURATING_PACE, help="saturating: deltas/s of a stream"
    )
    parser.add_argument("--words", type=int, default=WORDS, help="deltas of a turn")
    parser.add_argument("--project", type=Path, help="a rendered project, in place of a new one")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        uvloop.run(run(options, Path(folder)))


if __name__ == "__main__":
    main()
