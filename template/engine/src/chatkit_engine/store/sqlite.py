"""SQLite: WAL, one connection, in one thread of its own.

A transaction crosses into the thread once, however many statements it has. Writers take the lock
at once (`BEGIN IMMEDIATE`): a read transaction that is upgraded after another process has written
fails immediately, whatever the timeout.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from chatkit_engine.store.database import Database, DatabaseUnavailable, P, T, Work

log = structlog.stdlib.get_logger(__name__)
BUSY_TIMEOUT_MS = 10_000

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
)

QUICK_BYTES = 16 * 1024 * 1024

# A full-text index keeps deleted words until it happens to merge them away. The copy that VACUUM
# makes is too large for memory.
INDEXES = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING fts5(%'"

WIPE = (
    "PRAGMA temp_store = FILE",
    "VACUUM",
    "PRAGMA temp_store = MEMORY",
)


class SqliteDatabase(Database):
    """A SQLite file, or a database in memory."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = _create_engine(url.set(drivername="sqlite+pysqlite"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    @property
    def file(self) -> Path | None:
        name = self.url.database
        return Path(name) if name and name != ":memory:" else None

    @property
    def is_quickly_wiped(self) -> bool:
        return self.file is not None and self.file.stat().st_size < QUICK_BYTES

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._read, work, args, kwargs)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._write, work, args, kwargs)

    async def wipe(self, tables: Sequence[str]) -> None:
        """Write the file anew, and cut off its log; readers of other processes are waited for."""
        if self.file is not None:
            await self._run(self._wipe)

    async def aclose(self) -> None:
        await self._run(self.engine.dispose)
        self._thread.shutdown()

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except (OperationalError, InterfaceError) as error:
            if _is_faulty_sql(error):
                raise
            await self._reconnect()
            log.exception("the database is not available")
            raise DatabaseUnavailable from error

    async def _reconnect(self) -> None:
        """Leave a connection that may stay as it is, such as one that was opened read-only."""
        if self.file is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self.engine.dispose)

    def _read(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self.engine.connect() as connection:
            return work(connection, *args, **kwargs)

    def _write(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                result = work(connection, *args, **kwargs)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            return result

    def _wipe(self) -> None:
        with self.engine.connect() as connection:
            for index in connection.exec_driver_sql(INDEXES).scalars().all():
                rebuild = f"INSERT INTO {index}({index}) VALUES ('rebuild')"  # noqa: S608 (a name)
                connection.exec_driver_sql(rebuild)
            for statement in WIPE:
                connection.exec_driver_sql(statement)
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if is_busy:
            log.warning("the database's log is in use by another process and was not cut off")
            raise DatabaseUnavailable


def _is_faulty_sql(error: DBAPIError) -> bool:
    """SQLite gives one error for everything; a table that lacks awaits its migration."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_ERROR and "no such" not in str(error.orig)


def _create_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
