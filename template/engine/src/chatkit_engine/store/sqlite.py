"""SQLite in WAL mode: one connection that writes and a few that read, in threads of their own.

A transaction crosses into a thread once, however many statements it has. Writers take the lock
at once (`BEGIN IMMEDIATE`), because SQLite refuses to upgrade a read transaction after another
process has written, whatever the busy timeout. Readers see the last commit and wait for nobody.
A database in memory has one connection, because each further one would open another database.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import structlog
from sqlalchemy import URL, Connection, Engine, QueuePool, StaticPool, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from chatkit_engine.store.database import Database, P, T, Work
from chatkit_engine.store.failures import LOCKED, UNKNOWN, DatabaseUnavailable, Outage, cause_of
from chatkit_engine.store.private import create_private_database, make_private_folder
from chatkit_engine.store.sqlite_file import DatabaseFileLost, WatchedFile

log = structlog.stdlib.get_logger(__name__)

READERS = 4
# For commands, which may run as long as they need but report that another process has the lock.
PATIENCE_SECONDS = 10.0
PROBE_SECONDS = 1.0
WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)
READER_PRAGMAS = ("PRAGMA temp_store = MEMORY",)
# Creates the WAL, so that it can be watched.
OPEN = "SELECT count(*) FROM sqlite_schema"
FULL_TEXT_INDEXES = (
    "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING fts5(%'"
)
# VACUUM writes a copy of the whole database, which may be too large for memory.
VACUUM = ("PRAGMA temp_store = FILE", "VACUUM", "PRAGMA temp_store = MEMORY")


class SqliteDatabase(Database):
    """A SQLite file, or a database in memory."""

    def __init__(self, url: URL, timeout_seconds: float | None = None) -> None:
        self.url = url
        self._timeout = timeout_seconds
        self._watched = WatchedFile(self.file) if self.file else None
        # Apart, because a full disk fails every write and no read.
        self._read_outage, self._write_outage = Outage(), Outage()
        self.engine = self._create_engine(WRITER_PRAGMAS, poolclass=StaticPool)
        self._writer = self._readers = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._read_engine = self.engine
        if self.file is not None:
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-read")
            self._read_engine = self._create_engine(
                READER_PRAGMAS, poolclass=QueuePool, pool_size=READERS, max_overflow=0
            )

    @property
    def file(self) -> Path | None:
        name = self.url.database
        return Path(name) if name and name != ":memory:" else None

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run_read(self._timeout, work, args, kwargs)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run_write(self._timeout, work, args, kwargs)

    async def problem(self) -> str:
        if self._watched is None:
            return ""
        try:
            await self._run_read(PROBE_SECONDS, _nothing, (), {})
            if self._write_outage.has_begun:
                await self._run_write(PROBE_SECONDS, _nothing, (), {})
        except DatabaseUnavailable as error:
            return error.detail
        return await asyncio.to_thread(self._watched.problem)

    async def wipe(self, tables: Sequence[str]) -> None:
        """Rewrite the whole file and truncate the WAL; waits for its readers."""
        if self.file is not None:
            await self._run(self._writer, self._write_outage, self._timeout, self._wipe)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for thread, engine in ((self._readers, self._read_engine), (self._writer, self.engine)):
            thread.shutdown()
            engine.dispose()

    async def _run_read(self, seconds: float | None, *work: Any) -> Any:
        return await self._run(self._readers, self._read_outage, seconds, self._read, *work)

    async def _run_write(self, seconds: float | None, *work: Any) -> Any:
        return await self._run(self._writer, self._write_outage, seconds, self._write, *work)

    async def _run(
        self,
        thread: ThreadPoolExecutor,
        outage: Outage,
        seconds: float | None,
        function: Callable[..., T],
        *args: Any,
    ) -> T:
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        queued = thread.submit(function, deadline, *args)
        try:
            result = await _started_within(seconds, queued)
        except DatabaseFileLost:
            raise
        except (DBAPIError, DatabaseUnavailable) as error:
            if _is_faulty(error):
                raise
            raise outage.begin(error) from error
        outage.end()
        return result

    def _read(self, deadline: float, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self._connected(self._read_engine, deadline) as connection:
            # All statements of the transaction see the same commit.
            connection.exec_driver_sql("BEGIN")
            result = work(connection, *args, **kwargs)
            # A search keeps its temporary table.
            connection.exec_driver_sql("COMMIT")
            return result

    def _write(self, deadline: float, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self._connected(self.engine, deadline) as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                result = work(connection, *args, **kwargs)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            return result

    @contextmanager
    def _connected(self, engine: Engine, deadline: float) -> Generator[Connection]:
        """Return a connection whose waits for locks end at the deadline."""
        if self._watched:
            self._watched.check()
        try:
            with engine.connect() as connection:
                _set_busy_timeout(connection, deadline)
                yield connection
        except DBAPIError as error:
            # The connection may stay broken, for example if the file was read-only when it opened.
            # A database in memory would be lost with its connection.
            if self._watched and not _is_busy(error) and not _is_faulty(error):
                engine.dispose()
                self._watched.on_closed()
            raise

    def _wipe(self, deadline: float) -> None:
        with self._connected(self.engine, deadline) as connection:
            # FTS5 only marks words as deleted; they stay in the index until a later merge.
            for index in connection.exec_driver_sql(FULL_TEXT_INDEXES).scalars().all():
                rebuild = f"INSERT INTO {index}({index}) VALUES ('rebuild')"  # noqa: S608 (a name)
                connection.exec_driver_sql(rebuild)
            for statement in VACUUM:
                connection.exec_driver_sql(statement)
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if is_busy:
            log.warning("another process is reading the database: its WAL was not truncated")
            raise DatabaseUnavailable(LOCKED)

    def _create_engine(self, pragmas: Sequence[str], **pool: Any) -> Engine:
        if self.file is not None:
            make_private_folder(self.file.parent)
        engine = create_engine(
            self.url.set(drivername="sqlite+pysqlite"),
            hide_parameters=True,
            connect_args={"isolation_level": None, "check_same_thread": False},
            **pool,
        )

        def prepare(connection: sqlite3.Connection, _: object) -> None:
            for statement in (*pragmas, OPEN):
                connection.execute(statement)
            if self._watched:
                self._watched.on_opened()

        def create(*_: object) -> None:
            if self.file is not None:
                create_private_database(self.file)

        event.listen(engine, "do_connect", create)
        event.listen(engine, "connect", prepare)
        return engine


async def _started_within(seconds: float | None, queued: Future[T]) -> T:
    """Wait for the result, but give up if no thread has taken the work up in time."""
    result = asyncio.wrap_future(queued)
    try:
        await asyncio.wait({result}, timeout=seconds)
    except asyncio.CancelledError:
        result.cancel()
        raise
    if queued.cancel():
        raise DatabaseUnavailable(LOCKED)
    return await result


def _nothing(connection: Connection) -> None:
    connection.exec_driver_sql(OPEN)


def _set_busy_timeout(connection: Connection, deadline: float) -> None:
    left = deadline - time.monotonic()
    seconds = PATIENCE_SECONDS if left == math.inf else max(left, 0)
    driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    driver.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _is_busy(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _is_faulty(error: DBAPIError | DatabaseUnavailable) -> bool:
    """Return whether the statement or its values are wrong, and not the database."""
    if isinstance(error, DatabaseUnavailable):
        return False
    return isinstance(error, IntegrityError | DataError) or cause_of(error) is UNKNOWN
