"""`INSERT ... ON CONFLICT`, which each database has in a dialect of its own."""

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
    """Return an insert for each database that updates the row in the way, if it is the same user's.

    `fill` gives the insert its values or its select. `where` is the condition of a partial unique
    index. Without `changed` the row in the way stays as it is.
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


def run(connection: Connection, inserts: Inserts, values: Any = None) -> int:
    """Run the insert of this connection's database; return how many rows it wrote."""
    return connection.execute(inserts[connection.dialect.name], values).rowcount
