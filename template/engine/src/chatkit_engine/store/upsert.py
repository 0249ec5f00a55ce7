"""`INSERT ... ON CONFLICT`, which SQLAlchemy has only as part of each dialect."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

Inserts = Mapping[str, Executable]


def upsert(
    table: Table,
    key: Sequence[str],
    changed: Sequence[str],
    fill: Callable[[Any], Any] = lambda insert: insert,
    *,
    where: ColumnElement[bool] | None = None,
) -> Inserts:
    """Return an insert, by dialect, that updates a conflicting row if it has the same `user_id`.

    `key` names the columns of the unique index, and `where` is its condition if it is partial.
    `changed` names the columns to update; without any, a conflicting row stays as it is.
    `fill` adds the values, or the select, to the insert.
    """

    def build(empty: Any) -> Executable:
        insert = fill(empty)
        excluded = insert.excluded
        if not changed:
            return cast(Executable, insert.on_conflict_do_nothing())
        return cast(
            Executable,
            insert.on_conflict_do_update(
                index_elements=key,
                index_where=where,
                set_={name: excluded[name] for name in changed},
                where=table.c.user_id == excluded.user_id,
            ),
        )

    return {
        "sqlite": build(sqlite.insert(table)),
        "postgresql": build(postgresql.insert(table)),
    }


def execute_upsert(connection: Connection, inserts: Inserts, values: Any = None) -> int:
    """Execute the insert for the connection's dialect; return the number of rows written."""
    return connection.execute(inserts[connection.dialect.name], values).rowcount
