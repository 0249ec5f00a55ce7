"""Each cause of a database's failure has its own words, and one line in the log."""

import sqlite3
from contextlib import aclosing

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from support.logs import logged_by

from chatkit_engine.settings.core import Settings
from chatkit_engine.store import failures
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.failures import DatabaseUnavailable, Outage, cause_of


def _sqlite(code: int, message: str = "failed") -> DBAPIError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return OperationalError("SELECT secret", {}, error)


class _ServerError(Exception):
    """An error of asyncpg: it has the server's SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("failed")
        self.sqlstate = sqlstate


def _postgresql(sqlstate: str) -> DBAPIError:
    return DatabaseError("SELECT secret", {}, _ServerError(sqlstate))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (_sqlite(sqlite3.SQLITE_FULL), failures.FULL),
        (_sqlite(sqlite3.SQLITE_READONLY), failures.READ_ONLY),
        (_sqlite(sqlite3.SQLITE_READONLY | 1 << 8), failures.READ_ONLY),
        (_sqlite(sqlite3.SQLITE_CORRUPT), failures.CORRUPTED),
        (_sqlite(sqlite3.SQLITE_NOTADB), failures.CORRUPTED),
        (_sqlite(sqlite3.SQLITE_BUSY | 2 << 8), failures.LOCKED),
        (_sqlite(sqlite3.SQLITE_CANTOPEN), failures.UNREADABLE),
        (_sqlite(sqlite3.SQLITE_IOERR), failures.UNREADABLE),
        (_sqlite(sqlite3.SQLITE_ERROR, "no such table: threads"), failures.NOT_MIGRATED),
        (_sqlite(sqlite3.SQLITE_ERROR, "no such column: x"), failures.NOT_MIGRATED),
        (_sqlite(sqlite3.SQLITE_ERROR, "near FORM"), failures.UNKNOWN),
        (_postgresql("53100"), failures.FULL),
        (_postgresql("25006"), failures.READ_ONLY),
        (_postgresql("XX001"), failures.CORRUPTED),
        (_postgresql("55P03"), failures.LOCKED),
        (_sqlite(sqlite3.SQLITE_ERROR, "table t has no column named x"), failures.NOT_MIGRATED),
        (_postgresql("3F000"), failures.NOT_MIGRATED),
        (_postgresql("42501"), failures.LOGIN),
        (_postgresql("42P01"), failures.NOT_MIGRATED),
        (_postgresql("42703"), failures.NOT_MIGRATED),
        (_postgresql("28P01"), failures.LOGIN),
        (_postgresql("3D000"), failures.LOGIN),
        (_postgresql("53300"), failures.BUSY),
        (_postgresql("57P03"), failures.AWAY),
        (_postgresql("42601"), failures.UNKNOWN),
        (ConnectionRefusedError(), failures.AWAY),
        (PoolTimeout(), failures.BUSY),
    ],
)
def test_a_failure_has_its_cause(error: Exception, cause: failures.Cause) -> None:
    assert cause_of(error) == cause


def test_the_words_for_a_client_and_the_fixes_differ() -> None:
    causes = [each for each in vars(failures).values() if isinstance(each, failures.Cause)]
    lasting = [cause.detail for cause in causes if cause.detail != failures.TRY_AGAIN]

    assert len({cause.fix for cause in causes}) == len(causes)
    assert len(set(lasting)) == len(lasting)


def test_an_outage_is_logged_once_and_so_is_its_end() -> None:
    outage = Outage()
    with logged_by(failures) as logs:
        for error in [_sqlite(sqlite3.SQLITE_FULL)] * 3 + [_sqlite(sqlite3.SQLITE_READONLY)] * 2:
            outage.begin(error)
        for _ in range(2):
            outage.end()

    assert [log.get("cause") or log["event"] for log in logs] == [
        "full",
        "read-only",
        "the database works again",
    ]
    assert "secret" not in str(logs)


async def test_reads_that_succeed_do_not_end_an_outage_of_writes(each_database: Settings) -> None:
    async with aclosing(open_database(each_database)) as database:
        with logged_by(failures) as logs:
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable):
                    await database.write(_fail)
                await database.read(_nothing)
            await database.write(_nothing)

    assert [log.get("cause") or log["event"] for log in logs] == [
        "full",
        "the database works again",
    ]


def _fail(_connection: Connection) -> None:
    raise _sqlite(sqlite3.SQLITE_FULL)


def _nothing(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")
