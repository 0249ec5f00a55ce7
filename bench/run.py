"""The one command: renders the project and measures it against its peers. See README.md.

Every ratio is between medians of one run, whose rounds take the servers in turns.
"""

import argparse
import asyncio
import json
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import copier
import uvloop
from load import Client, Scenario, open_threads, watch_lists
from report import BARE, Results, report
from servers import BENCH, LOAD_CPU, http_client, pin, python_path
from sites import DEFAULT, QUICK, Plan, Site, site
from team import measure_team

REPOSITORY = BENCH.parent
WORDS = 50
SATURATING_PACE, PACE = 200, 50
STREAMS, FEW_STREAMS, FULL_STREAMS = 64, 16, 256


def scenarios(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the loads by name: saturating, paced, and paced where no server is saturated."""
    streams, words = options.streams, options.words
    loads = [Scenario(streams, words, options.pace), Scenario(streams, words, PACE)]
    if not options.quick:
        loads.append(Scenario(FEW_STREAMS, words, PACE))
    if options.full:
        loads.append(Scenario(FULL_STREAMS, words, PACE))
    return _by_name(loads)


def team_scenarios(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the loads of the turns of several agents: saturating, and not."""
    words = options.words
    saturating = Scenario(options.streams, words, options.pace)
    return _by_name([saturating, Scenario(FEW_STREAMS, words, PACE)])


def _by_name(loads: list[Scenario]) -> dict[str, Scenario]:
    return {f"{load.streams} streams, {load.pace} deltas/s each": load for load in loads}


async def measure(site: Site, plan: Plan, loads: dict[str, Scenario]) -> Results:
    """Take the servers in turns: the lists while the servers are fresh, then each load."""
    results = Results(with_lists=[name for name in site.processes if name != BARE])
    async with http_client() as http:
        await _measure_lists(site, http, plan, results)
    for number in range(plan.rounds):
        for load, scenario in loads.items():
            _progress(f"round {number + 1} of {plan.rounds}: {load}")
            for server, process in site.processes.items():
                async with site.load(process, scenario) as streams:
                    window = await streams.watch(process.cpu_seconds, plan.warm_up, plan.window)
                results.add(load, server, window)
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


async def measure_pages(project: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Return the pages' times in a small store and in a large one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(BENCH / "store_pages.py"),
        "--repeats",
        str(plan.page_repeats),
        env={**os.environ, "PYTHONPATH": python_path(project)},
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
        team = await measure_team(servers, plan.rounds, team_scenarios(options), _progress)
    results.pages = pages
    print(report(results), team.report(), sep="\n\n")
    if options.json:
        summary = {**results.summary(), "multi-agent": team.summary()}
        options.json.write_text(json.dumps(summary, indent=2) + "\n")


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
