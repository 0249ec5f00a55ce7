"""The store at a million items against a thousand: pages, writes, turns and search.

Both stores are filled here, on SQLite or on a PostgreSQL of the script's own. Each time is a
median of calls that take the two stores in turns. Exits with 1 when one is more than twice the
small store's.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "template/engine/tests"))

import asyncpg
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    InferenceOptions,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)
from sqlalchemy import Table, insert

from chatkit_engine.context import RequestContext, User
from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import encode_item, encode_thread
from chatkit_engine.store.leases import Lease
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.search import search_messages
from chatkit_engine.store.tables import items, threads
from chatkit_engine.testing.postgres import running_postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
SMALL, LARGE = 1_000, 1_000_000
ITEMS_OF_A_THREAD = 10
THREADS_OF_A_LIGHT_USER = 10
HEAVY_EVERY = 10
LONG_EVERY = 100
PAGE = 4
HITS = 10
BATCH = 20_000
WARM_UP = 10
BOUND = 2.0
MS = 1000

HEAVY, LIGHT = "heavy", "light-0"
VOCABULARY = [f"word{number}" for number in range(20_000)]
FREQUENCIES = list(accumulate(1 / (number + 3) for number in range(len(VOCABULARY))))
WORDS_OF_A_TEXT = 24
COMMON, OFTEN, RARE = "everywhere", "often", "seldom"
OFTEN_EVERY = 10
FREQUENT = "frequent"
RARE_ITEMS = 5

PRESENCE = ProcessLock(None)
ITEM_COLUMNS = ("id", "user_id", "thread_id", "type", "text", "data", "created_at")
THREAD_COLUMNS = ("id", "user_id", "data", "created_at")

Call = Callable[[], Awaitable[Any]]
Rows = list[tuple[Any, ...]]
Insert = Callable[[Table, Sequence[str], Rows], Awaitable[object]]


class Contents:
    """The rows of a store of one size.

    A tenth of all is one user's, and a hundredth in one thread of that user's; the other users have
    a hundred items each. Everybody's rows lie apart from each other. One word is in every text, one
    in a tenth of them, and one in the oldest five of two users.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.threads = size // ITEMS_OF_A_THREAD
        self.random = random.Random(size)  # noqa: S311
        self._light_users = self.threads * 9 // 10 // THREADS_OF_A_LIGHT_USER
        self._seen: Counter[str] = Counter()

    def owner(self, thread: int) -> str:
        if thread % HEAVY_EVERY == 0:
            return HEAVY
        return f"light-{(thread - thread // HEAVY_EVERY - 1) % self._light_users}"

    def thread_rows(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.threads):
            thread = ThreadMetadata(id=thread_id(number), created_at=datetime.now(UTC))
            yield thread.id, self.owner(number), encode_thread(thread), 0.0

    def item_rows(self) -> Iterator[tuple[Any, ...]]:
        data = encode_item(answer("THREAD", "ITEM", "TEXT"))
        for number in range(self.size):
            thread = 0 if number % LONG_EVERY == 0 else number % self.threads
            user, text = self.owner(thread), self.text(self.owner(thread))
            own = data.replace("THREAD", thread_id(thread)).replace("ITEM", item_id(number))
            row = item_id(number), user, thread_id(thread), "assistant_message", text
            yield *row, own.replace("TEXT", text), 0.0

    def text(self, user: str) -> str:
        number = self._seen[user]
        self._seen[user] += 1
        marks = [COMMON, *[OFTEN] * (number % OFTEN_EVERY == 0)]
        if user in (HEAVY, LIGHT) and number < RARE_ITEMS:
            marks.append(RARE)
        words = self.random.choices(VOCABULARY, cum_weights=FREQUENCIES, k=WORDS_OF_A_TEXT)
        return " ".join([*marks, *words])


@dataclass(frozen=True)
class FilledStore:
    """A store of one size, and what is timed in it."""

    store: SqlStore
    contents: Contents

    def calls(self) -> dict[str, Call]:
        return {**self._pages(), **self._writes(), **self._searches()}

    def _pages(self) -> dict[str, Call]:
        store, me = self.store, context(HEAVY)
        middle_thread = thread_id(self.contents.threads // 2)
        middle_item = item_id(self.contents.size // 2)
        pages: dict[str, Call] = {}
        for order in ("desc", "asc"):
            for place, thread, item in (
                ("first", None, None),
                ("middle", middle_thread, middle_item),
            ):
                pages[f"threads.list, {place}, {order}"] = partial(
                    store.load_threads, PAGE, thread, order, me
                )
                pages[f"items.list, {place}, {order}"] = partial(
                    store.load_thread_items, thread_id(0), item, PAGE, order, me
                )
        return pages

    def _writes(self) -> dict[str, Call]:
        return {"an item is saved": self._save_item, "a turn, begin and end": self._turn}

    async def _save_item(self) -> None:
        thread = thread_id(HEAVY_EVERY)
        await self.store.add_thread_item(thread, self._answer(thread), context(HEAVY))

    async def _turn(self) -> None:
        thread = thread_id(1)
        turn = TurnStore(self.store.database, Lease(thread, LIGHT))
        await turn.begin(PRESENCE, Opening(question(thread, COMMON)))
        await turn.add_thread_item(thread, self._answer(thread), context(LIGHT))
        await turn.close("completed", [], None)

    def _answer(self, thread: str) -> AssistantMessageItem:
        return answer(thread, new_id("msg"), self.contents.text("somebody"))

    def _searches(self) -> dict[str, Call]:
        searches = {
            f"search, {user} user, {name} word": partial(self._search, user, word)
            for user in (HEAVY, LIGHT)
            for name, word in (("common", COMMON), (FREQUENT, OFTEN), ("rare", RARE))
        }
        both = partial(self._search, HEAVY, f"{COMMON} {RARE}")
        return searches | {"search, heavy user, common and rare": both}

    async def _search(self, user: str, words: str) -> None:
        hits = await search_messages(self.store.database, user, words, HITS)
        if len(hits) < min(HITS, RARE_ITEMS):
            raise ValueError(f"{user} found {len(hits)} of {words}")


def context(user: str) -> RequestContext:
    return RequestContext(user=User(id=user))


def thread_id(number: int) -> str:
    return f"thr_{number:032d}"


def item_id(number: int) -> str:
    return f"msg_{number:032d}"


def answer(thread: str, item: str, text: str) -> AssistantMessageItem:
    content = [AssistantMessageContent(text=text)]
    now = datetime.now(UTC)
    return AssistantMessageItem(id=item, thread_id=thread, created_at=now, content=content)


def question(thread: str, text: str) -> UserMessageItem:
    return UserMessageItem(
        id=new_id("msg"),
        thread_id=thread,
        created_at=datetime.now(UTC),
        content=[UserMessageTextContent(text=text)],
        inference_options=InferenceOptions(),
    )


async def fill(url: str, size: int) -> FilledStore:
    database = open_database(Settings(database_url=url))
    await upgrade(database, [CORE])
    contents = Contents(size)
    if database.file:
        await _fill_sqlite(database, contents)
    else:
        await _fill_postgresql(url, contents)
    return FilledStore(SqlStore(database), contents)


async def _fill_sqlite(database: Database, contents: Contents) -> None:
    async def write(table: Table, columns: Sequence[str], rows: Rows) -> None:
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        await database.write(lambda connection: connection.execute(insert(table), named))

    await _insert_all(write, contents)


async def _fill_postgresql(url: str, contents: Contents) -> None:
    """Copy the rows in, with the search's index made afterwards: that is several times faster."""
    connection = await asyncpg.connect(url)
    find = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_items_search'"
    search_index = await connection.fetchval(find)

    async def copy(table: Table, columns: Sequence[str], rows: Rows) -> None:
        await connection.copy_records_to_table(table.name, records=rows, columns=columns)

    await connection.execute("DROP INDEX ix_items_search")
    await _insert_all(copy, contents)
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await connection.execute(search_index)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _insert_all(write: Insert, contents: Contents) -> None:
    for table, columns, rows in (
        (threads, THREAD_COLUMNS, contents.thread_rows()),
        (items, ITEM_COLUMNS, contents.item_rows()),
    ):
        while batch := list(islice(rows, BATCH)):
            await write(table, columns, batch)


async def compare(small: FilledStore, large: FilledStore, repeats: int) -> dict[str, list[float]]:
    """Return each call's median milliseconds in both stores, which take turns."""
    times: dict[str, list[float]] = {}
    for name, few in small.calls().items():
        many = large.calls()[name]
        pairs = [(await _timed(few), await _timed(many)) for _ in range(WARM_UP + repeats)]
        times[name] = [median(column) for column in zip(*pairs[WARM_UP:], strict=True)]
        print(f"{name}: {times[name]}", file=sys.stderr, flush=True)
    return times


async def _timed(call: Call) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * MS


async def measure(
    urls: Sequence[str], sizes: Sequence[int], repeats: int
) -> dict[str, list[float]]:
    began = time.monotonic()
    stores = [await fill(url, size) for url, size in zip(urls, sizes, strict=True)]
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
    times = await compare(*stores, repeats)
    for filled in stores:
        await filled.store.database.aclose()
    return times


@contextmanager
def database_urls(database: str) -> Generator[Sequence[str]]:
    if database == SQLITE:
        with TemporaryDirectory() as folder:
            yield [f"sqlite:///{folder}/{name}.db" for name in ("small", "large")]
    else:
        with running_postgres(durable=True) as postgres:
            yield [postgres.create_database() for _ in range(2)]


def table(times: dict[str, list[float]], sizes: Sequence[int]) -> str:
    small, large = (f"{size:,}, ms" for size in sizes)
    lines = [f"{'':<44}{small:>14}{large:>16}{'ratio':>8}"]
    for name, (few, many) in times.items():
        lines.append(f"  {name:<42}{few:>14.2f}{many:>16.2f}{many / few:>8.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL), default=POSTGRESQL)
    parser.add_argument("--small", type=int, default=SMALL, help="items of the small store")
    parser.add_argument("--large", type=int, default=LARGE, help="items of the large store")
    parser.add_argument("--repeats", type=int, default=100, help="times each call is made")
    options = parser.parse_args()
    sizes = options.small, options.large
    with database_urls(options.database) as urls:
        times = asyncio.run(measure(urls, sizes, options.repeats))
    print(table(times, sizes))
    sys.exit(any(_is_over(name, *pair) for name, pair in times.items()))


def _is_over(name: str, few: float, many: float) -> bool:
    """A frequent word has fewer matches in the small store than are ranked: it has no bound."""
    return FREQUENT not in name and many > BOUND * few


if __name__ == "__main__":
    main()
