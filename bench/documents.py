"""The whole way of 20,000 passages: ingested from files, and searched by meaning and by words.

The local embedder, the embedded store on SQLite beside pgvector on PostgreSQL; searches take them
in turns, and none is answered from a cache. A block is the longest that the event loop did not get
to a task that sleeps for a millisecond at a time: while all of it is ingested with a search every
quarter of a second, and in rounds of 8 searches at once. The garbage collector is set as `serve`
sets it. Exits with 1 when a block is longer than
50 ms, or the median on SQLite than 20 ms.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "template/engine/tests"))

import numpy as np
from retrieval import AT_ONCE, MAX_BLOCK_MS, MAX_MEDIAN_MS, MS, longest_block, timed

from chatkit_engine.cli.serving import freeze_garbage_collector
from chatkit_engine.context import User
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder
from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.ingest import Ingest
from chatkit_engine.features.rag.search import DocumentSearch, Question, Ranking
from chatkit_engine.features.rag.tables import MIGRATIONS
from chatkit_engine.features.rag.vectors import pgvector_tables
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.store import SHARED, VectorStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.testing.postgres import running_postgres

PASSAGES, OF_A_FILE, WORDS = 20_000, 10, 90
VOCABULARY, ASKED = 8_000, 6
PAUSE_SECONDS = 0.25
ROUNDS_AT_ONCE, WARM_UP, LIMIT = 10, 5, 5
USER = User(id="ada")
RANDOM = np.random.default_rng(0)


def words(count: int) -> str:
    """Return words of which some are frequent and most are rare, as in a language."""
    ranks = np.minimum(RANDOM.zipf(1.3, count), VOCABULARY)
    return " ".join(f"w{rank:x}ord" for rank in ranks)


def write_files(folder: Path, passages: int) -> None:
    for number in range(passages // OF_A_FILE):
        parts = [f"# Part {part}\n\n{words(WORDS)}.\n" for part in range(OF_A_FILE)]
        (folder / f"{number}.md").write_text("\n".join(parts))


class Subject:
    """A database with a store, and what is timed of it."""

    def __init__(self, name: str, database: Database, store: VectorStore) -> None:
        self.name = name
        self._embedder = LocalEmbedder()
        self._ingest = Ingest(database, self._embedder, store, SHARED)
        asking = CachedEmbedder(self._embedder, seconds=0)
        ranking = Ranking(self._embedder.min_similarity)
        self._search = DocumentSearch(database, asking, store, ranking)
        self.times: list[float] = []
        self.blocks: list[float] = []

    async def search(self) -> None:
        await self._search.search(USER, Question((words(ASKED),)), LIMIT)

    async def ingest(self, folder: Path) -> None:
        """Ingest while somebody asks now and then."""
        asking = asyncio.create_task(self._ask())
        await self._ingest.run(folder, "bench")
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking

    async def at_once(self) -> None:
        for _ in range(ROUNDS_AT_ONCE):
            await asyncio.gather(*(self.search() for _ in range(AT_ONCE)))

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.search()

    def row(self) -> str:
        p95 = quantiles(self.times, n=20)[-1]
        shown = (median(self.times), p95, *self.blocks)
        return f"{self.name:<24}" + "".join(f"{each:>17.1f}" for each in shown)


async def measure(subjects: Sequence[Subject], folder: Path, repeats: int) -> None:
    for subject in subjects:
        took = 0.0

        async def ingest(subject: Subject = subject) -> None:
            nonlocal took
            took = await timed(partial(subject.ingest, folder))

        subject.blocks.append(await longest_block(ingest))
        print(f"{subject.name}: ingested in {took / MS:.0f} s", file=sys.stderr)
    for number in range(WARM_UP + repeats):
        for subject in subjects:
            milliseconds = await timed(subject.search)
            if number >= WARM_UP:
                subject.times.append(milliseconds)
    for subject in subjects:
        subject.blocks.append(await longest_block(subject.at_once))


@asynccontextmanager
async def opened(
    name: str, url: str, make: Callable[[Database, str, int], VectorStore]
) -> AsyncGenerator[Subject]:
    async with aclosing(open_database(Settings(database_url=url))) as database:
        await upgrade(database, [CORE, MIGRATIONS, pgvector_tables.MIGRATIONS])
        embedder = LocalEmbedder()
        yield Subject(name, database, make(database, embedder.name, embedder.dimensions))


async def run(sqlite: str, postgres: str, folder: Path, repeats: int) -> list[Subject]:
    async with AsyncExitStack() as stack:
        subjects = [
            await stack.enter_async_context(opened("embedded, SQLite", sqlite, EmbeddedStore)),
            await stack.enter_async_context(
                opened("pgvector, PostgreSQL", postgres, PgvectorStore)
            ),
        ]
        await measure(subjects, folder, repeats)
        return subjects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--repeats", type=int, default=100, help="searches of each store")
    options = parser.parse_args()
    with TemporaryDirectory() as place, running_postgres(durable=True) as postgres:
        folder = Path(place) / "files"
        folder.mkdir()
        write_files(folder, options.passages)
        freeze_garbage_collector()
        urls = f"sqlite:///{place}/chat.db", postgres.create_database()
        subjects = asyncio.run(run(*urls, folder, options.repeats))
    heads = ("median", "p95", "block, ingesting", f"block, {AT_ONCE} at once")
    print(f"{'ms':<24}" + "".join(f"{head:>17}" for head in heads))
    print("\n".join(subject.row() for subject in subjects))
    print(f"load average {os.getloadavg()[0]:.1f}")
    blocked = max(block for subject in subjects for block in subject.blocks)
    sys.exit(blocked > MAX_BLOCK_MS or median(subjects[0].times) > MAX_MEDIAN_MS)


if __name__ == "__main__":
    main()
