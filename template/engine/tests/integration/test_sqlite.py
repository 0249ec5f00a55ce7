"""Tests what only SQLite has: a file that is temporarily not writable."""

import pytest
from support.app import running_app
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import DatabaseUnavailable

READ_ONLY = "PRAGMA query_only = 1"
WRITE = "CREATE TABLE written (number INTEGER)"


async def test_a_read_only_connection_is_replaced(file_settings: Settings) -> None:
    database = open_database(file_settings)
    await database.read(run_sql, READ_ONLY)

    with pytest.raises(DatabaseUnavailable):
        await database.write(run_sql, WRITE)

    await database.write(run_sql, WRITE)
    await database.aclose()


async def test_readiness_says_that_nothing_can_be_written(settings: Settings) -> None:
    async with running_app(settings) as app:
        await app.services.database.read(run_sql, READ_ONLY)

        ready = await app.http.get("/health/ready")

    assert ready.status_code == 503
    assert [check["name"] for check in ready.json()["checks"] if not check["ok"]] == ["database"]
