"""What a turn of several agents costs, beside a plain one of the same project.

The assistant hands off to the writer, who calls two tools and then answers: four requests to the
model. Both turns open a thread of their own and have the same answer at the same pace.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import aiohttp
from answer import TEAM_TASK
from load import MS_PER_S, Scenario, Window, WrongAnswer
from report import BUSY, FIRST, FIRST_P99, PROJECT, TURNS, Metric, line
from servers import http_client
from sites import Site
from team_model import expected

TURNS_OF_STREAM = 4
PLAIN, TEAM = "plain", "multi-agent"
CPU_OF_TURN = Metric("CPU ms for a turn", lambda w: w.cpu_seconds * MS_PER_S / w.tally.turns)
METRICS = (CPU_OF_TURN, TURNS, FIRST, FIRST_P99, BUSY)

Pairs = defaultdict[str, defaultdict[str, list[Window]]]
Medians = dict[str, dict[str, float]]


class WrongTurn(WrongAnswer):
    """A turn had not one handoff and two tools that worked."""


@dataclass
class TeamResults:
    """All windows, by load and by kind of turn."""

    windows: Pairs = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def load(self, load: str) -> Medians:
        """Return the medians of one load, and the ratio of the two kinds: by metric."""
        return {metric.name: self._medians(load, metric.of) for metric in METRICS}

    def summary(self) -> dict[str, Medians]:
        return {load: self.load(load) for load in self.windows}

    def report(self) -> str:
        """Write the table for a person."""
        rounds = len(next(iter(self.windows.values()))[TEAM])
        parts = [f"A turn of several agents and a plain one of the project, medians of {rounds}"]
        for load in self.windows:
            parts += ["", load, *_table(self.load(load))]
        return "\n".join(parts)

    def _medians(self, load: str, of: Callable[[Window], float]) -> dict[str, float]:
        windows = self.windows[load]
        row = {kind: median(map(of, windows[kind])) for kind in (PLAIN, TEAM)}
        return {**row, "ratio": row[TEAM] / row[PLAIN]}


async def measure_team(
    site: Site, rounds: int, loads: dict[str, Scenario], progress: Callable[[str], None]
) -> TeamResults:
    """Watch the two kinds one after the other, round by round.

    Raises:
        WrongTurn: a turn was not what it was meant to be.
    """
    results = TeamResults()
    for number in range(rounds):
        for name, load in loads.items():
            progress(f"round {number + 1} of {rounds}: {name}, plain and multi-agent turns")
            for kind, task in ((PLAIN, ""), (TEAM, TEAM_TASK)):
                scenario = replace(load, task=task)
                results.windows[name][kind].append(await _watch(site, scenario))
    return results


async def _watch(site: Site, scenario: Scenario) -> Window:
    process = site.processes[PROJECT]
    async with http_client() as http, site.load(process, scenario) as load:
        before = await _seen(site, http)
        window = await load.complete(process.cpu_seconds, TURNS_OF_STREAM)
        seen = await _seen(site, http) - before
    _check(seen, window.tally.turns if scenario.task else 0)
    return window


async def _seen(site: Site, http: aiohttp.ClientSession) -> Counter[str]:
    """Return what the model has seen so far."""
    async with http.get(f"{site.model.url}/seen", raise_for_status=True) as response:
        counts: dict[str, Any] = await response.json()
    return Counter(counts)


def _check(seen: Counter[str], turns: int) -> None:
    wanted = expected(turns)
    if seen != Counter(wanted):
        raise WrongTurn(f"{turns} turns: the model saw {dict(seen)} in place of {wanted}")


def _table(rows: Medians) -> Iterable[str]:
    columns = (PLAIN, TEAM, "ratio")
    yield line("", columns)
    for name, row in rows.items():
        yield line(name, [f"{row[column]:.2f}" for column in columns])
