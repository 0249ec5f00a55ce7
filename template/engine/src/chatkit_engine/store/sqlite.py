"""SQLite in WAL mode: one connection, in a thread of its own.

A transaction crosses into the thread once, however many statements it has. Writers take the lock
at once (`BEGIN IMMEDIATE`), because SQLite refuses to upgrade a read transaction after another
process has written, whatever the busy timeout.
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
from chatkit_engine.store.private import make_private_database

log = structlog.stdlib.get_logger(__name__)

BUSY_TIMEOUT_MS = 10_000
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
)
FULL_TEXT_INDEXES = (
    "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING fts5(%'"
)
# VACUUM writes a copy of the whole database, which may be too large for memory.
VACUUM = ("PRAGMA temp_store = FILE", "VACUUM", "PRAGMA temp_store = MEMORY")


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

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._read, work, args, kwargs)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._write, work, args, kwargs)

    async def wipe(self, tables: Sequence[str]) -> None:
        """Rewrite the whole file and truncate the WAL; waits for the readers of other processes."""
        if self.file is not None:
            await self._run(self._wipe)

    async def aclose(self) -> None:
        await self._run(self.engine.dispose)
        self._thread.shutdown()

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, function, *args)
        except (OperationalError, InterfaceError) as error:
            if _is_faulty_sql(error):
                raise
            # The connection may stay broken, for example if the file was read-only when it opened.
            # A database in memory would be lost with its connection.
            if self.file is not None:
                await loop.run_in_executor(self._thread, self.engine.dispose)
            log.exception("the database is not available")
            raise DatabaseUnavailable from error

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
            # FTS5 only marks words as deleted; they stay in the index until a later merge.
            for index in connection.exec_driver_sql(FULL_TEXT_INDEXES).scalars().all():
                rebuild = f"INSERT INTO {index}({index}) VALUES ('rebuild')"  # noqa: S608 (a name)
                connection.exec_driver_sql(rebuild)
            for statement in VACUUM:
                connection.exec_driver_sql(statement)
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if is_busy:
            log.warning("another process is reading the database: its WAL was not truncated")
            raise DatabaseUnavailable


def _create_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        make_private_database(Path(url.database))
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


def _is_faulty_sql(error: DBAPIError) -> bool:
    """Return whether the statement is wrong. A missing table only means a pending migration."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_ERROR and "no such" not in str(error.orig)
