"""Search over 20,000 chunks: the embedded store on SQLite beside pgvector on PostgreSQL.

Each time is of calls that take the stores in turns. A block is the longest that the event loop did
not get to a task that sleeps for a millisecond at a time, in the best of three tries: what other
processes on the machine add differs, and `idle` says how much it is. Exits with 1 when a block is
longer than 50 ms, or the embedded store's median than 20 ms.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "template/engine/tests"))

import numpy as np
from features.rag.corpus import Corpus, normalized, open_corpus

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.store import SHARED, VectorStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database
from chatkit_engine.testing.postgres import running_postgres

CHUNKS, DIMENSIONS, OF_A_DOCUMENT = 20_000, 384, 100
DIRECTIONS, NOISE = 32, 0.3
CANDIDATES = 50
AT_ONCE, ROUNDS_AT_ONCE = 8, 25
DOCUMENTS_ADDED = 20
WARM_UP = 5
TIMES_WATCHED = 3
TICK_SECONDS, IDLE_SECONDS = 0.001, 2
MAX_BLOCK_MS, MAX_MEDIAN_MS = 50, 20
MS = 1000
EMBEDDER, USER = "bench", "ada"

BASIS = np.random.default_rng(0).normal(size=(DIRECTIONS, DIMENSIONS))
Call = Callable[[], Awaitable[object]]


@dataclass
class Measured:
    """What was measured of one store, in milliseconds."""

    cold: float = 0
    searches: list[float] = field(default_factory=list[float])
    blocks: dict[str, float] = field(default_factory=dict[str, float])

    def row(self, name: str) -> str:
        p95 = quantiles(self.searches, n=20)[-1]
        times = (median(self.searches), p95, self.cold, *self.blocks.values())
        return f"{name:<24}" + "".join(f"{each:>19.1f}" for each in times)


def like_texts(size: int, seed: int) -> Matrix:
    """Return vectors of which most lies in a few directions, as with texts."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(size, DIRECTIONS))
    noise = random.normal(size=(size, DIMENSIONS)) * np.sqrt(DIRECTIONS)
    return normalized(weights @ BASIS + NOISE * noise)


class Subject:
    """A store with chunks in it, and what is timed of it."""

    def __init__(self, corpus: Corpus, make: Callable[[Database], VectorStore]) -> None:
        self.corpus = corpus
        self.make = make
        self._documents = count()
        self._queries = count(1_000_000)

    async def fill(self, chunks: int) -> None:
        for _ in range(0, chunks, OF_A_DOCUMENT):
            await self.add()

    async def add(self) -> None:
        """Keep one more document that everybody may read."""
        number = next(self._documents)
        ids = [f"{number}-{chunk}" for chunk in range(OF_A_DOCUMENT)]
        vectors = like_texts(OF_A_DOCUMENT, number)
        await self.corpus.keep_matrix(SHARED, f"document {number}", ids, vectors)

    async def search(self) -> None:
        query = like_texts(1, next(self._queries))
        [found] = await self.corpus.store.search(USER, query, CANDIDATES)
        if len(found) != CANDIDATES:
            raise ValueError(f"{len(found)} were found")

    async def cold_search(self) -> None:
        """Search as the first to do so in a process that has just started."""
        self.corpus.store = self.make(self.corpus.database)
        await self.search()

    async def searches_at_once(self) -> None:
        for _ in range(ROUNDS_AT_ONCE):
            await asyncio.gather(*(self.search() for _ in range(AT_ONCE)))

    async def adding(self) -> None:
        """Add documents, with a search after each, as when somebody asks meanwhile."""
        for _ in range(DOCUMENTS_ADDED):
            await self.add()
            await self.search()

    def watched(self) -> dict[str, Call]:
        """Return what must not hold up the event loop."""
        return {
            "idle": partial(asyncio.sleep, IDLE_SECONDS),
            "cold": self.cold_search,
            f"{AT_ONCE} at once": self.searches_at_once,
            "adding": self.adding,
        }


async def measure(subjects: Mapping[str, Subject], repeats: int) -> dict[str, Measured]:
    results = {name: Measured() for name in subjects}
    for name, subject in subjects.items():
        results[name].cold = await timed(subject.cold_search)
    for number in range(WARM_UP + repeats):
        for name, subject in subjects.items():
            milliseconds = await timed(subject.search)
            if number >= WARM_UP:
                results[name].searches.append(milliseconds)
    for name, subject in subjects.items():
        for work, call in subject.watched().items():
            blocks = [await longest_block(call) for _ in range(TIMES_WATCHED)]
            results[name].blocks[work] = min(blocks)
    return results


async def timed(call: Call) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * MS


async def longest_block(call: Call) -> float:
    """Return the milliseconds for which the event loop got to nothing else at most."""
    latest = 0.0

    async def tick() -> None:
        nonlocal latest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            latest = max(latest, time.perf_counter() - began - TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    await call()
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    return latest * MS


@asynccontextmanager
async def filled(
    url: str, make: Callable[[Database], VectorStore], chunks: int
) -> AsyncGenerator[Subject]:
    async with open_corpus(Settings(database_url=url), make) as corpus:
        corpus.embedder = EMBEDDER
        subject = Subject(corpus, make)
        took = await timed(partial(subject.fill, chunks))
        print(f"{chunks:,} chunks in {corpus.store.name}: {took / MS:.0f} s", file=sys.stderr)
        yield subject


async def run(urls: Sequence[str], chunks: int, repeats: int) -> dict[str, Measured]:
    sqlite, postgresql = urls
    stores: dict[str, tuple[str, Callable[[Database], VectorStore]]] = {
        "embedded, SQLite": (sqlite, _embedded),
        "pgvector, PostgreSQL": (postgresql, _pgvector),
    }
    async with AsyncExitStack() as stack:
        subjects = {
            name: await stack.enter_async_context(filled(url, make, chunks))
            for name, (url, make) in stores.items()
        }
        return await measure(subjects, repeats)


def _embedded(database: Database) -> VectorStore:
    return EmbeddedStore(database, EMBEDDER, DIMENSIONS)


def _pgvector(database: Database) -> VectorStore:
    return PgvectorStore(database, EMBEDDER, DIMENSIONS)


def table(results: Mapping[str, Measured]) -> str:
    blocks = [f"block, {work}" for work in next(iter(results.values())).blocks]
    heads = ("median", "p95", "cold", *blocks)
    lines = [f"{'ms':<24}" + "".join(f"{head:>19}" for head in heads)]
    lines += [measured.row(name) for name, measured in results.items()]
    return "\n".join([*lines, f"load average {os.getloadavg()[0]:.1f}"])


def is_over(results: Mapping[str, Measured]) -> bool:
    blocks = [block for measured in results.values() for block in measured.blocks.values()]
    embedded = next(iter(results.values()))
    return max(blocks) > MAX_BLOCK_MS or median(embedded.searches) > MAX_MEDIAN_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--repeats", type=int, default=200, help="searches of each store")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, running_postgres(durable=True) as postgres:
        urls = [f"sqlite:///{folder}/chat.db", postgres.create_database()]
        results = asyncio.run(run(urls, options.chunks, options.repeats))
    print(table(results))
    sys.exit(is_over(results))


if __name__ == "__main__":
    main()
