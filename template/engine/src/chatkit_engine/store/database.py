"""The interface of both databases: short transactions, each a plain function of a connection."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Double, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Connection, P], T]


class Database(ABC):
    """Runs transactions. A transaction that has begun is finished even if its caller is cancelled.

    `work` is called with a connection. It may be called again, for example after a deadlock or
    after the connection was lost before the commit, so it must change nothing but the database.

    A transaction waits at most `DATABASE_TIMEOUT_SECONDS`, for a connection and for locks together.

    Raises:
        DatabaseUnavailable: from each method.
    """

    url: URL
    engine: Engine

    @property
    def file(self) -> Path | None:
        """The database's file, if it has one. The processes of one machine share it."""
        return None

    @abstractmethod
    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction that writes nothing, and return its result."""

    @abstractmethod
    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work`, commit, and return its result. An error rolls everything back."""

    @abstractmethod
    async def problem(self) -> str:
        """Return why nothing can be written, or an empty string. Takes no lock and writes nothing.

        After a write that failed it does try the lock, because nothing else shows that it is free.
        """

    @abstractmethod
    async def wipe(self, tables: Sequence[str]) -> None:
        """Rewrite the tables' files, so that they no longer contain the bytes of deleted rows.

        Locks each table while it is rewritten.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Wait for running transactions, and close every connection."""


class database_now(FunctionElement[float]):  # noqa: N801 (used like a function)
    """The database's clock, in seconds since the epoch. Processes' own clocks may differ."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    # now() would be the start of the transaction, which may have waited for a lock since.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
