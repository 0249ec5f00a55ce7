"""Copies all rows from one database to another, in one transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select

from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import Migrations, pending, upgrade

BATCH = 500


class TransferRefused(RuntimeError):
    """The databases are not in a state in which data can be copied."""


async def transfer(
    source: Database, target: Database, chains: Sequence[Migrations]
) -> dict[str, int]:
    """Copy all rows of the chains' tables; return the number of rows by table.

    Raises:
        TransferRefused: the source is not up to date, or the target is not empty.
    """
    if waiting := await pending(source, chains):
        raise TransferRefused(
            f"The old database is not up to date ({', '.join(waiting)}). Run `migrate` on it first."
        )
    await upgrade(target, chains)
    common = [chain for chain in chains if chain.is_for(source.engine.dialect.name)]
    tables = [table for chain in common for table in chain.metadata.sorted_tables]
    return await target.write(_copy, source.engine, tables)


def _copy(connection: Connection, source: Engine, tables: Sequence[Table]) -> dict[str, int]:
    for table in tables:
        if connection.scalar(select(func.count()).select_from(table)):
            raise TransferRefused(
                f"The new database is not empty: '{table.name}' has rows. Use an empty one."
            )
    with source.connect() as old:
        old.exec_driver_sql("BEGIN")
        return {table.name: _copy_table(old, connection, table) for table in tables}


def _copy_table(old: Connection, new: Connection, table: Table) -> int:
    copied = 0
    for rows in old.execute(select(table)).mappings().partitions(BATCH):
        new.execute(insert(table), [_without_nul(dict(row)) for row in rows])
        copied += len(rows)
    _continue_sequence(new, table)
    return copied


def _without_nul(row: dict[str, Any]) -> dict[str, Any]:
    """Remove NUL characters, which PostgreSQL cannot store."""
    return {
        name: value.replace("\x00", "") if isinstance(value, str) else value
        for name, value in row.items()
    }


def _continue_sequence(connection: Connection, table: Table) -> None:
    """Set PostgreSQL's sequence, which does not follow inserts that bring their own number."""
    number = table.autoincrement_column
    if connection.dialect.name == "postgresql" and number is not None:
        last = connection.scalar(select(func.max(number)))
        name = func.pg_get_serial_sequence(table.name, number.name)
        connection.execute(select(func.setval(name, last or 1, last is not None)))
