"""Breaks real servers on purpose, and counts which promises hold: see README.md.

Exits with 1 when one is broken.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "template/engine/tests"))

from support.failures.contention import Contention
from support.failures.findings import Findings
from support.failures.kills import Kills
from support.failures.outage import Load, Outage
from support.failures.site import Site, postgres_site, sqlite_site

from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.postgres import running_postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
MAX_SHOWN = 10

Run = Callable[[Site, argparse.Namespace], Awaitable[Findings]]


async def kill(site: Site, options: argparse.Namespace) -> Findings:
    """`kill -9` at a random moment of some streams, again and again."""
    return await Kills(site, Random(options.seed), options.max_seconds).run(options.rounds)  # noqa: S311


async def contend(site: Site, options: argparse.Namespace) -> Findings:
    """Many turns at once on one thread; on PostgreSQL over two servers."""
    servers = 1 if site.postgres is None else 2
    return await Contention(site, servers, options.turns).run(options.tries)


async def outage(site: Site, options: argparse.Namespace) -> Findings:
    """PostgreSQL stops under load, and comes back."""
    load = Load(options.clients, options.before, options.away, options.after)
    return await Outage(site, load, options.stop_mode).run()


@contextmanager
def open_site(database: str, folder: Path) -> Generator[Site]:
    with FakeModelApi().running() as model_api:
        if database == SQLITE:
            yield sqlite_site(folder, model_api)
        else:
            with running_postgres(durable=True) as postgres:
                yield postgres_site(folder, postgres, model_api)


def run(work: Run, database: str, options: argparse.Namespace) -> Findings:
    with TemporaryDirectory() as folder, open_site(database, Path(folder)) as site:
        return asyncio.run(work(site, options))


def table(columns: dict[str, Findings]) -> str:
    """Return a line for each number, and a column for each database."""
    names = dict.fromkeys(name for found in columns.values() for name in found.numbers)
    lines = [" " * 36 + "".join(f"{column:>14}" for column in columns)]
    for name in names:
        cells = (found.numbers.get(name) for found in columns.values())
        lines.append(f"  {name:<34}" + "".join(f"{_cell(number):>14}" for number in cells))
    return "\n".join(lines)


def _cell(number: float | None) -> str:
    if number is None:
        return "-"
    return str(number) if isinstance(number, int) else f"{number:.2f}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL), help="one of the two")
    commands = parser.add_subparsers(required=True)
    kills = commands.add_parser("kill", help=kill.__doc__)
    kills.set_defaults(work=kill, databases=(SQLITE, POSTGRESQL))
    kills.add_argument("--rounds", type=int, default=100)
    kills.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    kills.add_argument("--max-seconds", type=float, default=4, help="of streams before the kill")
    contends = commands.add_parser("contend", help=contend.__doc__)
    contends.set_defaults(work=contend, databases=(SQLITE, POSTGRESQL))
    contends.add_argument("--tries", type=int, default=200)
    contends.add_argument("--turns", type=int, default=50, help="at once, on one thread")
    outages = commands.add_parser("outage", help=outage.__doc__)
    outages.set_defaults(work=outage, databases=(POSTGRESQL,))
    outages.add_argument("--clients", type=int, default=20)
    outages.add_argument("--before", type=float, default=10, help="seconds of load before")
    outages.add_argument("--away", type=float, default=10, help="seconds without PostgreSQL")
    outages.add_argument("--after", type=float, default=10, help="seconds of load after")
    outages.add_argument("--stop-mode", choices=("fast", "immediate"), default="fast")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if "seed" in options:
        print(f"seed {options.seed}")
    databases = [options.database] if options.database else options.databases
    columns = {database: run(options.work, database, options) for database in databases}
    print(table(columns))
    broken = [f"{name}: {text}" for name, found in columns.items() for text in found.broken]
    for text in broken[:MAX_SHOWN]:
        print(f"BROKEN {text}", file=sys.stderr)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
