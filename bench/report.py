"""What was measured: medians over the rounds, the ratios, and the targets they are held to."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from load import ListWindow, Window

PROJECT, WITHOUT_STORE, MINIMAL, BARE = "project", "without store", "minimal", "bare"

COLUMNS = {
    PROJECT: "the rendered project: JWT users, SQLite in a file",
    WITHOUT_STORE: "the same, its SQL replaced by the peer's dicts",
    MINIMAL: "the peer: the least server of upstream's packages, in memory, no users",
    BARE: "a bare SSE response of the same events, without a model",
}
DELTAS = 1000
PERCENT = 100
MS_PER_S = 1000


@dataclass(frozen=True)
class Metric:
    """One line of a table, and how a window gives it."""

    name: str
    of: Callable[[Window], float]


def _turns(window: Window) -> float:
    return window.tally.turns / window.seconds


def _cpu_ms(window: Window) -> float:
    return window.cpu_seconds * MS_PER_S * DELTAS / window.tally.deltas


def _busy(window: Window) -> float:
    return window.cpu_seconds / window.seconds * PERCENT


def _merged(window: Window) -> float:
    return window.tally.deltas / window.tally.events


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=PERCENT, method="inclusive")[-1]


TURNS = Metric("turns/s", _turns)
CPU = Metric("CPU ms for 1,000 deltas", _cpu_ms)
FIRST = Metric("first delta, ms over the model", lambda w: median(w.tally.first_delays))
FIRST_P99 = Metric("first delta, p99", lambda w: _p99(w.tally.first_delays))
LAST = Metric("last delta, ms over the model", lambda w: median(w.tally.last_delays))
LAST_P99 = Metric("last delta, p99", lambda w: _p99(w.tally.last_delays))
BUSY = Metric("server's core busy, %", _busy)
METRICS = (
    TURNS,
    CPU,
    FIRST,
    FIRST_P99,
    LAST,
    LAST_P99,
    Metric("deltas an event carries", _merged),
    BUSY,
)
LATENCY = "latency, ms"
LIST_CPU = "CPU ms for a request"


@dataclass(frozen=True)
class Target:
    """A ratio of the project to the peer, and the bound that it is held to."""

    name: str
    ratio: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.name}: {self.ratio:.2f}, {sign} {self.bound:g}: {verdict}"


@dataclass
class Results:
    """All windows of a run, by load and by server."""

    with_lists: list[str]
    windows: defaultdict[str, defaultdict[str, list[Window]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    lists: defaultdict[str, list[ListWindow]] = field(default_factory=lambda: defaultdict(list))
    rss_mib: dict[str, float] = field(default_factory=dict)
    pages: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, load: str, server: str, window: Window) -> None:
        self.windows[load][server].append(window)

    def add_lists(self, server: str, window: ListWindow) -> None:
        self.lists[server].append(window)

    def load(self, load: str) -> dict[str, dict[str, float]]:
        """Return the medians of one load: by metric, by server."""
        servers = self.windows[load]
        return {
            metric.name: {
                server: median(metric.of(window) for window in windows)
                for server, windows in servers.items()
            }
            for metric in METRICS
        }

    def listing(self) -> dict[str, dict[str, float]]:
        """Return the medians of `threads.list`: by metric, by server."""
        medians = {LATENCY: {}, LIST_CPU: {}}
        for server, windows in self.lists.items():
            medians[LATENCY][server] = median(window.latency_ms for window in windows)
            medians[LIST_CPU][server] = median(window.cpu_ms for window in windows)
        return medians

    def targets(self, server: str) -> list[Target]:
        """Return the issue's targets, for the project with its store or without."""
        saturating, *paced = self.windows
        targets = [
            self._target(saturating, TURNS, 2.0, server, at_least=True),
            *(self._target(load, CPU, 0.5, server) for load in (saturating, paced[0])),
            *(self._target(load, FIRST, 1.0, server) for load in self.windows),
        ]
        for name, row in self.listing().items():
            targets.append(Target(f"threads.list, {name}", row[server] / row[MINIMAL], 0.5))
        return targets

    def page_target(self) -> Target:
        worst = max(page["ratio"] for page in self.pages.values())
        return Target("pages, 100,000 rows to 10, the slowest", worst, 2.0)

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "loads": {load: self.load(load) for load in self.windows},
            "threads.list": self.listing(),
            "rss_mib": self.rss_mib,
            "pages": self.pages,
            "ratios to the peer": {
                server: {target.name: target.ratio for target in self.targets(server)}
                for server in (PROJECT, WITHOUT_STORE)
            },
        }

    def _target(
        self, load: str, metric: Metric, bound: float, server: str, *, at_least: bool = False
    ) -> Target:
        row = self.load(load)[metric.name]
        return Target(f"{load}: {metric.name}", row[server] / row[MINIMAL], bound, at_least)


def report(results: Results) -> str:
    """Write the tables and the targets for a person."""
    parts = ["Columns", *(f"  {name}: {meaning}" for name, meaning in COLUMNS.items())]
    for load in results.windows:
        parts += ["", load, *_table(results.load(load))]
    parts += ["", "threads.list of 20 threads over HTTP", *_table(results.listing())]
    parts += ["", "memory after all loads", *_table({"RSS, MiB": results.rss_mib})]
    parts += ["", "pages in a store of 10 and of 100,000 rows", *_pages(results)]
    for server in (PROJECT, WITHOUT_STORE):
        parts += ["", f"Ratios, {server} to {MINIMAL}"]
        parts += [f"  {target}" for target in results.targets(server)]
    parts += ["", f"  {results.page_target()}"]
    return "\n".join(parts)


def _table(rows: dict[str, dict[str, float]]) -> Iterable[str]:
    yield line("", COLUMNS)
    for name, row in rows.items():
        yield line(name, [f"{row[server]:.2f}" if server in row else "-" for server in COLUMNS])


def _pages(results: Results) -> Iterable[str]:
    yield line("", ["10, ms", "100,000, ms", "ratio"])
    for name, page in results.pages.items():
        yield line(name, [f"{page[key]:.2f}" for key in ("small_ms", "large_ms", "ratio")])


def line(name: str, cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return f"  {name:<32}" + "".join(f"{cell:>15}" for cell in cells)
