"""What a database does for the rest: short transactions, each a plain function of a connection."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Double, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from chatkit_engine.errors import Unavailable
from chatkit_engine.i18n import _

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Connection, P], T]


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or takes no more work just now."""

    def __init__(self) -> None:
        super().__init__(_("The database does not answer. Try again in a few seconds."))


class Database(ABC):
    """Runs transactions. One that was begun is finished, whether or not its caller still waits.

    `work` is called with a connection. It may be called again when the database asks for that
    (a deadlock, a connection that was lost before anything was committed).

    Raises:
        DatabaseUnavailable: from each method.
    """

    url: URL
    engine: Engine

    @property
    def file(self) -> Path | None:
        """The file that this machine's processes share, where there is one."""
        return None

    @property
    def is_quickly_wiped(self) -> bool:
        """Say whether `wipe` is over before anybody would notice."""
        return False

    @abstractmethod
    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` reads."""

    @abstractmethod
    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` returns, when what it wrote is committed; an error undoes it all."""

    @abstractmethod
    async def wipe(self, tables: Sequence[str]) -> None:
        """Overwrite what deleted rows have left in the tables' files. It locks them meanwhile."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish what runs, and close every connection."""


class database_now(FunctionElement[float]):  # noqa: N801 (used like a function)
    """The database's own clock, in seconds since the epoch: one clock for every process."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
