"""Migrations: one chain for the core and one for each feature."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, event
from support.app import SAMPLE
from support.sql import run_sql

from chatkit_engine.application import Application
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import (
    CORE,
    MigrationRefused,
    Migrations,
    UnknownRevision,
    pending,
    revise,
    upgrade,
)


def _database(tmp_path: Path) -> Database:
    return open_database(Settings(database_url=f"sqlite:///{tmp_path}/folder/chat.db"))


def _extra(folder: Path) -> Migrations:
    metadata = MetaData()
    Table("extra", metadata, Column("id", Integer, primary_key=True))
    return Migrations("extra", folder / "versions", metadata)


async def test_the_migrations_make_the_tables_that_the_code_has(settings: Settings) -> None:
    application = Application(settings, SAMPLE)
    await upgrade(application.database, application.migrations)

    for chain in application.migrations:

        def differences(connection: Connection, chain: Migrations = chain) -> list[Any]:
            def is_ours(name: str | None, kind: str, _: object) -> bool:
                return kind != "table" or name in chain.metadata.tables

            context = MigrationContext.configure(connection, opts={"include_name": is_ours})
            return compare_metadata(context, chain.metadata)

        assert await application.database.read(differences) == []
    await application.database.aclose()


async def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    database = _database(tmp_path)

    first = await upgrade(database, [CORE])
    second = await upgrade(database, [CORE])

    assert first[0] == "core:0001"
    assert second == []
    assert await pending(database, [CORE]) == []
    await database.aclose()


async def test_a_database_that_is_up_to_date_costs_one_query_a_chain(tmp_path: Path) -> None:
    database = _database(tmp_path)
    await upgrade(database, [CORE])
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        assert await upgrade(database, [CORE]) == []
    finally:
        event.remove(Engine, "before_cursor_execute", record)

    selects = [each for each in statements if each.startswith("SELECT")]
    assert [each.split()[-1] for each in selects] == ["alembic_version_core"]
    assert not any(each.startswith("BEGIN IMMEDIATE") for each in statements)
    await database.aclose()


async def test_revisions_that_branch_are_refused(tmp_path: Path) -> None:
    database, extra = _database(tmp_path), _extra(tmp_path)
    await upgrade(database, [CORE])
    path = await revise(database, extra, "first")
    branch = path.read_text().replace('"0001"', '"0002"').replace("'0001'", "'0002'")
    path.with_name("0002_branch.py").write_text(branch)

    with pytest.raises(MigrationRefused, match="not one chain"):
        await pending(database, [CORE, extra])
    await database.aclose()


async def test_a_new_chain_is_applied_and_a_removed_one_leaves_its_tables(
    tmp_path: Path,
) -> None:
    database, extra = _database(tmp_path), _extra(tmp_path)
    await upgrade(database, [CORE])
    await revise(database, extra, "the first table")

    assert await pending(database, [CORE, extra]) == ["extra:0001"]
    assert await upgrade(database, [CORE, extra]) == ["extra:0001"]
    assert await upgrade(database, [CORE]) == []

    assert await database.read(run_sql, "SELECT count(*) FROM extra") == [(0,)]
    await database.aclose()


async def test_a_chain_of_another_kind_of_database_is_left_out(tmp_path: Path) -> None:
    database, extra = _database(tmp_path), _extra(tmp_path)
    await upgrade(database, [CORE])
    await revise(database, extra, "the first table")
    elsewhere = replace(extra, dialect="postgresql")

    assert await pending(database, [CORE, elsewhere]) == []
    assert await upgrade(database, [CORE, elsewhere]) == []
    assert await pending(database, [CORE, replace(extra, dialect="sqlite")]) == ["extra:0001"]
    await database.aclose()


async def test_a_new_revision_holds_the_difference(tmp_path: Path) -> None:
    database, extra = _database(tmp_path), _extra(tmp_path)
    await revise(database, extra, "first")
    await upgrade(database, [extra])
    extra.metadata.tables["extra"].append_column(Column("colour", Integer))

    path = await revise(database, extra, "a colour")
    await upgrade(database, [extra])

    assert path.name.startswith("0002")
    assert "colour" in path.read_text()
    assert "'" not in path.read_text(), "it is formatted"
    assert await database.read(run_sql, "SELECT colour FROM extra") == []
    await database.aclose()


async def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    database, extra = _database(tmp_path), _extra(tmp_path)
    path = await revise(database, extra, "first")
    broken = path.read_text().replace(
        "\ndef downgrade", '    op.execute("NOT SQL")\n\n\ndef downgrade', 1
    )
    path.write_text(broken)

    with pytest.raises(Exception, match="NOT"):
        await upgrade(database, [CORE, extra])

    assert "core:0001" in await pending(database, [CORE, extra])
    await database.aclose()


async def test_a_database_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    database = _database(tmp_path)
    await upgrade(database, [CORE])
    await database.write(run_sql, "UPDATE alembic_version_core SET version_num = '9999'")

    with pytest.raises(UnknownRevision, match="9999"):
        await upgrade(database, [CORE])
    await database.aclose()
