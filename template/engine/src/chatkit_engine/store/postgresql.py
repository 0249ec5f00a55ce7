"""PostgreSQL through asyncpg, also behind PgBouncer in transaction mode.

Such a pooler hands out a server connection for one transaction only. Nothing here may outlive a
transaction, so there are no session locks, no LISTEN and no named prepared statements.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import structlog
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database, P, T, Work
from chatkit_engine.store.dsn import for_asyncpg
from chatkit_engine.store.failures import AWAY, UNKNOWN, DatabaseUnavailable, Outage, cause_of

log = structlog.stdlib.get_logger(__name__)

CONNECT_SECONDS = 5
RECYCLE_SECONDS = 1800
MAX_ATTEMPTS = 3
MAX_WAL_SEGMENTS = 256
SWITCH_WAL_SEGMENT = "SELECT pg_logical_emit_message(false, 'wipe', ''), pg_switch_wal()"

# SQLSTATE codes (PostgreSQL manual, appendix A) after which the transaction may be run again:
# serialization failure, deadlock, and a foreign key whose row was deleted in the meantime.
RETRYABLE = frozenset({"40001", "40P01", "23503"})


class PostgresDatabase(Database):
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: URL, settings: Settings) -> None:
        self.url = url
        self._timeout = settings.database_timeout_seconds
        target = for_asyncpg(url)
        self._dsn = target.url.render_as_string(hide_password=False)
        self._tls = ssl.create_default_context() if target.has_system_roots else None
        if target.dropped:
            log.warning("options of DATABASE_URL are for other drivers", dropped=target.dropped)
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
        # Apart, because a full disk fails every write and no read.
        self._read_outage, self._write_outage = Outage(), Outage()

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._finish(self._read_outage, self._transact_in_time(work, args, kwargs))

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._finish(self._write_outage, self._transact_in_time(work, args, kwargs))

    async def problem(self) -> str:
        try:
            if await self.read(_is_read_only):
                return "the server accepts no writes: it is a standby, or set to read-only"
        except DatabaseUnavailable as error:
            return error.detail
        return ""

    async def wipe(self, tables: Sequence[str]) -> None:
        """Rewrite the tables and their indexes, and overwrite the WAL if the role may do that.

        WAL archives, replicas and backups keep their copies.
        """
        await self._finish(self._write_outage, self._wipe(tables))

    async def aclose(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._pool.dispose()

    async def _connect(self, **_: Any) -> Any:
        try:
            return await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                self._dsn,
                ssl=self._tls,
                timeout=CONNECT_SECONDS,
                command_timeout=self._timeout,
                statement_cache_size=0,
            )
        except TimeoutError:
            raise DatabaseUnavailable(AWAY) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseUnavailable(cause_of(error)) from error

    async def _finish(self, outage: Outage, work: Any) -> Any:
        """Wait for a transaction, which goes on if the caller is cancelled."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            result = await asyncio.shield(task)
        except (DBAPIError, PoolTimeout, OSError, DatabaseUnavailable) as error:
            if not _is_unavailable(error):
                raise
            raise outage.begin(error) from error
        outage.end()
        return result

    async def _transact_in_time(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        """Bound the wait for a connection, for locks and for all attempts together."""
        async with asyncio.timeout(self._timeout):
            return await self._transact(work, args, kwargs)

    async def _transact(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            async with self._pool.connect() as connection:
                try:
                    result = await connection.run_sync(work, *args, **kwargs)
                except DBAPIError as error:
                    may_retry = error.connection_invalidated or _sqlstate(error) in RETRYABLE
                    if not (attempts_left and may_retry):
                        raise
                else:
                    await connection.commit()
                    return result
        raise AssertionError("the last attempt returns or raises")

    async def _wipe(self, tables: Sequence[str]) -> None:
        quote = self.engine.dialect.identifier_preparer.quote
        async with self._pool.connect() as connection:
            # VACUUM cannot run inside a transaction.
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                await autocommit.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {quote(table)}")
            # The statistics held samples of the deleted values.
            await autocommit.exec_driver_sql("VACUUM (FULL) pg_statistic")
            try:
                await _overwrite_wal(autocommit)
            except ProgrammingError:
                log.warning("this role may not overwrite the WAL: deleted rows stay in it")


def _is_read_only(connection: Connection) -> bool:
    return connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on"


async def _overwrite_wal(connection: AsyncConnection) -> None:
    """Switch through every WAL segment, because the server fills the rest of each with zeros.

    Twice, because the segment that was in use is recycled only after the checkpoint.
    """
    for _ in range(2):
        counted = await connection.exec_driver_sql("SELECT count(*) FROM pg_ls_waldir()")
        for _ in range(min(counted.scalar_one(), MAX_WAL_SEGMENTS) + 1):
            await connection.exec_driver_sql(SWITCH_WAL_SEGMENT)
        await connection.exec_driver_sql("CHECKPOINT")


def _is_unavailable(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return True
    is_broken = isinstance(error, InterfaceError | OperationalError)
    return error.connection_invalidated or is_broken or cause_of(error) is not UNKNOWN


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
