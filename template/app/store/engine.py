"""The database: short transactions, each a plain function that is given a connection.

SQLite runs in WAL on one connection, in one thread of its own: a transaction crosses into the
thread once, however many statements it has. Writers take the lock at once (`BEGIN IMMEDIATE`): a
read transaction that is upgraded after another process has written fails immediately, whatever
the timeout.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Double,
    Engine,
    StaticPool,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Connection, P], T]

BUSY_TIMEOUT_MS = 10_000
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
)


class database_now(FunctionElement[float]):  # noqa: N801 (used like a function)
    """The database's own clock, in seconds since the epoch: one clock for every process."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Database:
    """Runs transactions. A cancelled caller does not tear one apart: it is done or not done."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url).set(drivername="sqlite+pysqlite")
        self.engine = _sqlite_engine(self.url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for a database in memory."""
        name = self.url.database
        return Path(name) if name and name != ":memory:" else None

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` reads with the connection it is given."""
        return await self._run(self._read, work, args, kwargs)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` returns, when what it wrote is committed; an error undoes it all."""
        return await self._run(self._write, work, args, kwargs)

    async def aclose(self) -> None:
        await self._run(self.engine.dispose)
        self._thread.shutdown()

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _read(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self.engine.connect() as connection:
            return work(connection, *args, **kwargs)

    def _write(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                result = work(connection, *args, **kwargs)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
            return result


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=StaticPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
