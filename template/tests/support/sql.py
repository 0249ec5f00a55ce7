"""SQL of the tests' own, past the application's code."""

from typing import Any

from sqlalchemy import Connection, text


def run_sql(connection: Connection, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement as a transaction's work, and return its rows."""
    result = connection.execute(text(statement), values)
    return [tuple(row) for row in result] if result.returns_rows else []
