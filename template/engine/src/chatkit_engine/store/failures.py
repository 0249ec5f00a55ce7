"""Why a database fails: what a client reads, and one line in the log that says how to fix it."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatkit_engine.errors import Unavailable
from chatkit_engine.i18n import _

log = structlog.stdlib.get_logger(__name__)

TRY_AGAIN = _("The database does not answer. Try again in a few seconds.")
MAX_LOGGED = 300


@dataclass(frozen=True)
class Cause:
    """A kind of failure: its name and the fix for the operator, and the words for a client."""

    name: str
    fix: str
    detail: str = TRY_AGAIN


AWAY = Cause("away", "cannot be reached: start it, or check DATABASE_URL")
BUSY = Cause("busy", "has no free connection: raise DATABASE_POOL_SIZE, or the server's limit")
LOCKED = Cause("locked", "was locked for too long, by another process or a long transaction")
LOGIN = Cause(
    "login",
    "refuses the login, or the user lacks rights on it: check the user, the password and the "
    "database's name in DATABASE_URL, and what is granted to the user",
    _("The database refuses the service. Tell the operator."),
)
FULL = Cause(
    "full",
    "has no space left on its disk: free some, or move it to a larger one",
    _("The storage is full, so nothing can be saved. Tell the operator."),
)
READ_ONLY = Cause(
    "read-only",
    "accepts no writes: check the rights of its file and folder, or whether it is a standby",
    _("The database is read-only, so nothing can be saved. Tell the operator."),
)
CORRUPTED = Cause(
    "corrupted",
    "is damaged, or is no database: check DATABASE_URL, or restore a backup",
    _("The database is damaged. Tell the operator."),
)
NOT_MIGRATED = Cause(
    "not migrated",
    "lacks a table or a column: run `migrate`",
    _("The database is not migrated yet. Tell the operator."),
)
UNREADABLE = Cause(
    "unreadable",
    "cannot be opened, read or written: check its folder, the rights on it, and the disk",
    _("The database cannot be opened. Tell the operator."),
)
LOST = Cause(
    "lost",
    "file was removed or replaced: restore it, then restart",
    _("The database's file is gone, so nothing is saved. Tell the operator."),
)
UNKNOWN = Cause("unknown", "failed")

# https://sqlite.org/rescode.html: primary result codes.
SQLITE_CAUSES = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_CORRUPT: CORRUPTED,
    sqlite3.SQLITE_NOTADB: CORRUPTED,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
}
# These are faults of a statement, not of the database.
SQLITE_FAULTS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
}
PRIMARY_CODE = 0xFF
# PostgreSQL manual, appendix A: codes or their prefixes, the longest first.
SQLSTATE_CAUSES = {
    "53100": FULL,
    "53300": BUSY,
    "25006": READ_ONLY,
    "55P03": LOCKED,
    "57014": LOCKED,
    "42P01": NOT_MIGRATED,
    "42703": NOT_MIGRATED,
    "3F000": NOT_MIGRATED,
    "3D000": LOGIN,
    "42501": LOGIN,
    "28": LOGIN,
    "XX001": CORRUPTED,
    "XX002": CORRUPTED,
    "08": AWAY,
    "57P": AWAY,
    "40": LOCKED,
    "58": UNREADABLE,
    "53": BUSY,
}


class DatabaseUnavailable(Unavailable):
    """The database cannot be used now. `cause` says why."""

    def __init__(self, cause: Cause = AWAY) -> None:
        super().__init__(cause.detail)
        self.cause = cause


class Outage:
    """Logs a failure once, when it begins, and once when the database works again."""

    def __init__(self) -> None:
        self._current: Cause | None = None

    @property
    def has_begun(self) -> bool:
        return self._current is not None

    def begin(self, error: BaseException) -> DatabaseUnavailable:
        """Return the error for the caller."""
        cause = cause_of(error)
        if cause != self._current:
            self._current = cause
            # Not the traceback: it has no more to say, and is repeated by each request.
            log.error(f"the database {cause.fix}", cause=cause.name, error=_told(error))
        return DatabaseUnavailable(cause)

    def end(self) -> None:
        if self._current is not None:
            log.info("the database works again", after=self._current.name)
            self._current = None


def cause_of(error: BaseException) -> Cause:
    """Return the cause of an error of a driver or of SQLAlchemy."""
    if isinstance(error, DatabaseUnavailable):
        return error.cause
    if isinstance(error, PoolTimeout):
        return BUSY
    driver: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver, sqlite3.Error):
        return _cause_of_sqlite(driver)
    state = str(getattr(driver, "sqlstate", None) or "")
    for prefix, cause in SQLSTATE_CAUSES.items():
        if state.startswith(prefix):
            return cause
    if isinstance(driver, TimeoutError):
        return LOCKED
    return AWAY if isinstance(driver, OSError) or _is_broken(error) else UNKNOWN


def _cause_of_sqlite(error: sqlite3.Error) -> Cause:
    # An INSERT has other words for a missing column than a SELECT.
    if "no such" in str(error) or "has no column" in str(error):
        return NOT_MIGRATED
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY_CODE
    return UNKNOWN if code in SQLITE_FAULTS else SQLITE_CAUSES.get(code, UNREADABLE)


def _is_broken(error: BaseException) -> bool:
    is_driver = isinstance(error, asyncpg.InterfaceError)
    return is_driver or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _told(error: BaseException) -> str:
    """Return the driver's own message in one line. It has no statement and no values."""
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else None
    driver = error.orig if isinstance(error, DBAPIError) else cause or error
    return f"{type(driver).__name__}: {driver}".splitlines()[0][:MAX_LOGGED]
