"""The time of a page in a small store and in a large one: `PYTHONPATH=PROJECT store_pages.py`.

Prints JSON: for each page the median milliseconds with 10 and with 100,000 rows, and their ratio.
Every page has the same few entries, so that only the store's size differs.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Page,
    ThreadMetadata,
)
from sqlalchemy import Table, insert

from chatkit_engine.context import RequestContext, User
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.items import encode_item, encode_thread
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.store.tables import items, threads

SMALL, LARGE = 10, 100_000
PAGE = 4
BATCH = 10_000
WARM_UP = 20
MS = 1000
TEXT = "A sentence of an answer that somebody once got. " * 4

ME = RequestContext(user=User(id="me"))
OTHERS = "others"
ORDERS = ("desc", "asc")

PageCall = Callable[[], Awaitable[Page]]
Pages = dict[str, dict[str, float]]


@dataclass(frozen=True)
class FilledStore:
    """A store of one size: `rows` threads of mine, as many of others, and `rows` items in one."""

    store: SqlStore
    rows: int

    def calls(self) -> dict[str, PageCall]:
        """Return what is timed, by name."""
        middle = self.rows // 2
        pages: dict[str, PageCall] = {}
        for order in ORDERS:
            pages[f"threads.list, first, {order}"] = self._threads(None, order)
            pages[f"threads.list, middle, {order}"] = self._threads(_thread_id(middle), order)
            pages[f"items.list, first, {order}"] = self._items(None, order)
            pages[f"items.list, middle, {order}"] = self._items(_item_id(middle), order)
        return pages

    def _threads(self, after: str | None, order: str) -> PageCall:
        return lambda: self.store.load_threads(PAGE, after, order, ME)

    def _items(self, after: str | None, order: str) -> PageCall:
        return lambda: self.store.load_thread_items(_thread_id(0), after, PAGE, order, ME)


async def fill(file: Path, rows: int) -> FilledStore:
    """Create the project's tables and fill them in bulk."""
    database = open_database(Settings(database_url=f"sqlite:///{file}"))
    await upgrade(database, [CORE])
    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        mine = [_thread_row(number, ME.user.id) for number in numbers]
        theirs = [_thread_row(number, OTHERS) for number in numbers]
        mixed = [row for pair in zip(mine, theirs, strict=True) for row in pair]
        await _insert(database, threads, mixed)
    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        await _insert(database, items, [_item_row(number) for number in numbers])
    return FilledStore(SqlStore(database), rows)


async def _insert(database: Database, table: Table, rows: list[dict[str, str]]) -> None:
    await database.write(lambda connection: connection.execute(insert(table), rows))


def _thread_row(number: int, user: str) -> dict[str, str]:
    thread_id = _thread_id(number) if user == ME.user.id else f"{user}_{number}"
    thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC), title=f"About {number}")
    return {"id": thread_id, "user_id": user, "data": encode_thread(thread)}


def _item_row(number: int) -> dict[str, str]:
    item = AssistantMessageItem(
        id=_item_id(number),
        thread_id=_thread_id(0),
        created_at=datetime.now(UTC),
        content=[AssistantMessageContent(text=TEXT)],
    )
    return {
        "id": item.id,
        "user_id": ME.user.id,
        "thread_id": item.thread_id,
        "type": item.type,
        "text": TEXT,
        "data": encode_item(item),
    }


def _thread_id(number: int) -> str:
    return f"thr_{number:032d}"


def _item_id(number: int) -> str:
    return f"msg_{number:032d}"


async def compare(small: FilledStore, large: FilledStore, repeats: int) -> Pages:
    """Time each page in both stores, in turns."""
    results: Pages = {}
    for name, few in small.calls().items():
        many = large.calls()[name]
        pairs = [(await _timed(few), await _timed(many)) for _ in range(WARM_UP + repeats)]
        few_ms, many_ms = (median(column) for column in zip(*pairs[WARM_UP:], strict=True))
        results[name] = {"small_ms": few_ms, "large_ms": many_ms, "ratio": many_ms / few_ms}
    return results


async def _timed(call: PageCall) -> float:
    began = time.perf_counter()
    page = await call()
    elapsed = time.perf_counter() - began
    if len(page.data) != PAGE:
        raise ValueError(f"a page of {PAGE} has {len(page.data)} entries")
    return elapsed * MS


async def main(large: int, repeats: int) -> None:
    with TemporaryDirectory() as folder:
        stores = [await fill(Path(folder, f"{rows}.db"), rows) for rows in (SMALL, large)]
        results = await compare(*stores, repeats)
        for filled in stores:
            await filled.store.database.aclose()
    print(json.dumps(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=LARGE, help="rows of the large store")
    parser.add_argument("--repeats", type=int, default=200, help="times each page is read")
    options = parser.parse_args()
    asyncio.run(main(options.large, options.repeats))
