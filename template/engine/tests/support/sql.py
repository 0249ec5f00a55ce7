"""Runs SQL for tests, bypassing the application's code."""

import time
from typing import Any

from sqlalchemy import Connection, text

REFUSED = "refused by the test"


def run_sql(connection: Connection, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement as a transaction's work, and return its rows."""
    result = connection.execute(text(statement), values)
    return [tuple(row) for row in result] if result.returns_rows else []


def refuse(connection: Connection, event: str, table: str, row: str = "1 = 1") -> None:
    """Make the database refuse an event, for example `INSERT`, for matching rows of a table."""
    if connection.dialect.name == "sqlite":
        body = f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
    else:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSED}'; END $$"
        )
        body = "EXECUTE FUNCTION refuse()"
    connection.exec_driver_sql(
        f"CREATE TRIGGER refuse BEFORE {event} ON {table} FOR EACH ROW WHEN ({row}) {body}"
    )


def allow(connection: Connection, table: str) -> None:
    """Take back what `refuse` has said of the table."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DROP TRIGGER refuse")
    else:
        connection.exec_driver_sql(f"DROP TRIGGER refuse ON {table}")
        connection.exec_driver_sql("DROP FUNCTION refuse")


def pause(connection: Connection, seconds: float) -> None:
    """Hold the transaction open; nothing else of this process is held up."""
    if connection.dialect.name == "sqlite":
        time.sleep(seconds)
    else:
        run_sql(connection, "SELECT pg_sleep(:seconds)", seconds=seconds)
