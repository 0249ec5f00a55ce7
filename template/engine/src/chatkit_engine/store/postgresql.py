"""PostgreSQL through asyncpg, also behind a pooler that hands out a connection for a transaction.

Such a pooler (PgBouncer's transaction mode) forbids whatever outlives a transaction: there are no
session locks here, no LISTEN, and no named prepared statements.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import structlog
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database, DatabaseUnavailable, P, T, Work

log = structlog.stdlib.get_logger(__name__)
CONNECT_SECONDS = 5
RECYCLE_SECONDS = 1800
TRIES = 3
MAX_SEGMENTS = 256
SWITCH_SEGMENT = "SELECT pg_logical_emit_message(false, 'wipe', ''), pg_switch_wal()"

# PostgreSQL's error codes (appendix A of its manual): the transaction lost to another one, and may
# be tried again (a foreign key breaks when the row that it found is deleted just then); and the
# server shuts down, starts up, is too busy, has no connection left, or no table yet.
LOST_TO_ANOTHER = frozenset({"40001", "40P01", "23503"})
NOT_AVAILABLE = ("08", "40", "53", "57P", "58", "42P01", "42703")

# What some hosts add to a URL for other drivers.
FOREIGN_OPTIONS = ("channel_binding", "connect_timeout", "pgbouncer", "connection_limit", "schema")


class PostgresDatabase(Database):
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: URL, settings: Settings) -> None:
        self.url = url
        self._timeout = settings.database_timeout_seconds
        self._dsn = url.difference_update_query(FOREIGN_OPTIONS).render_as_string(
            hide_password=False
        )
        self._pool = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            connect_args={
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: "",
            },
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_pool_overflow,
            pool_timeout=settings.database_pool_timeout_seconds,
            pool_recycle=RECYCLE_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        self.engine = self._pool.sync_engine
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._finish(self._transact(work, args, kwargs))

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._finish(self._transact(work, args, kwargs))

    async def wipe(self, tables: Sequence[str]) -> None:
        """Write the tables and their indexes anew, and the server's log (WAL) where it lets us.

        Archives of the log, replicas and backups keep what they have.
        """
        await self._finish(self._wipe(tables))

    async def aclose(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._pool.dispose()

    async def _connect(self, **_: Any) -> Any:
        try:
            return await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                self._dsn,
                timeout=CONNECT_SECONDS,
                command_timeout=self._timeout,
                statement_cache_size=0,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.exception("the database cannot be connected to")
            raise DatabaseUnavailable from error

    async def _finish(self, work: Any) -> Any:
        """Wait for the work; it goes on when the one who waits is cancelled."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except (DBAPIError, PoolTimeout, OSError) as error:
            if not _is_unavailable(error):
                raise
            log.exception("the database is not available")
            raise DatabaseUnavailable from error

    async def _transact(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        for tries_left in reversed(range(TRIES)):
            async with self._pool.connect() as connection:
                try:
                    result = await connection.run_sync(work, *args, **kwargs)
                except DBAPIError as error:
                    if not (tries_left and _may_try_again(error)):
                        raise
                else:
                    await connection.commit()
                    return result
        raise AssertionError("the last try returns or raises")

    async def _wipe(self, tables: Sequence[str]) -> None:
        quote = self.engine.dialect.identifier_preparer.quote
        async with self._pool.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                await alone.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {quote(table)}")
            await alone.exec_driver_sql("VACUUM (FULL) pg_statistic")
            try:
                await _overwrite_log(alone)
            except ProgrammingError:
                log.warning("this role may not overwrite the server's log: old rows stay in it")


async def _overwrite_log(connection: AsyncConnection) -> None:
    """Switch through every segment of the log: the rest of one that is left is filled with zeros.

    Twice, since the segment that was in use is free after the checkpoint only.
    """
    for _ in range(2):
        counted = await connection.exec_driver_sql("SELECT count(*) FROM pg_ls_waldir()")
        for _ in range(min(counted.scalar_one(), MAX_SEGMENTS) + 1):
            await connection.exec_driver_sql(SWITCH_SEGMENT)
        await connection.exec_driver_sql("CHECKPOINT")


def _may_try_again(error: DBAPIError) -> bool:
    return error.connection_invalidated or _code(error) in LOST_TO_ANOTHER


def _is_unavailable(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        broken = error.connection_invalidated or isinstance(
            error, InterfaceError | OperationalError
        )
        return broken or _code(error).startswith(NOT_AVAILABLE)
    return True


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
