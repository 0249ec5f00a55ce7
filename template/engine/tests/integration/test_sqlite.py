"""Tests what only SQLite has: a file that another process locks, or that is taken away."""

import asyncio
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection
from support.app import running_app
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.store import disk
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.sqlite_file import DatabaseFileLost
from chatkit_engine.testing.waiting import eventually

READ_ONLY = "PRAGMA query_only = 1"
CREATE = "CREATE TABLE written (number INTEGER)"
WRITE = "INSERT INTO written VALUES (1)"
COUNT = "SELECT count(*) FROM written"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """A database with an empty table, whose transactions wait for half a second."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/data/chat.db", database_timeout_seconds=0.5
    )
    opened = open_database(settings)
    await opened.write(run_sql, CREATE)
    yield opened
    await opened.aclose()


def _file(database: Database) -> Path:
    assert database.file
    return database.file


@contextmanager
def _locked(database: Database) -> Generator[None]:
    with closing(sqlite3.connect(_file(database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_read_only_connection_is_replaced(database: Database) -> None:
    await database.write(run_sql, READ_ONLY)

    with pytest.raises(DatabaseUnavailable):
        await database.write(run_sql, WRITE)

    await database.write(run_sql, WRITE)


async def test_reads_do_not_wait_for_a_writer_that_waits_for_another_process(
    database: Database,
) -> None:
    with _locked(database):
        writing = asyncio.create_task(database.write(run_sql, WRITE))
        await asyncio.sleep(0)

        assert await database.read(run_sql, COUNT) == [(0,)]

        assert not writing.done()
        with pytest.raises(DatabaseUnavailable):
            await writing


async def test_writes_behind_one_another_each_keep_their_own_deadline(database: Database) -> None:
    """One after another, they would wait for a minute."""
    with _locked(database):
        async with asyncio.timeout(20):
            writes = (database.write(run_sql, WRITE) for _ in range(120))
            ended = await asyncio.gather(*writes, return_exceptions=True)

    assert {type(each) for each in ended} == {DatabaseUnavailable}
    assert await database.write(run_sql, WRITE) == []
    assert await database.read(run_sql, COUNT) == [(1,)]


async def test_a_write_goes_on_as_soon_as_the_lock_is_free(database: Database) -> None:
    with _locked(database):
        writing = asyncio.create_task(database.write(run_sql, WRITE))
        await asyncio.sleep(0)
    await writing

    assert await database.read(run_sql, COUNT) == [(1,)]


async def test_a_read_sees_one_commit_throughout(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def count_twice(connection: object) -> tuple[object, object]:
        before = run_sql(connection, COUNT)  # pyright: ignore[reportArgumentType]
        asyncio.run_coroutine_threadsafe(database.write(run_sql, WRITE), loop).result()
        return before, run_sql(connection, COUNT)  # pyright: ignore[reportArgumentType]

    before, after = await database.read(count_twice)

    assert before == after == [(0,)]
    assert await database.read(run_sql, COUNT) == [(1,)]


def _remove_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def _remove_wal(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def _replace(file: Path) -> None:
    shutil.copy(file, f"{file}.copy")
    Path(f"{file}.copy").replace(file)


def _recreate(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.mkdir()
    file.touch()


def _empty(file: Path) -> None:
    os.truncate(file, 0)


LOSSES = [_remove_folder, Path.unlink, _remove_wal, _replace, _recreate, _empty]


@pytest.mark.parametrize("lose", LOSSES)
async def test_nothing_is_written_to_a_file_that_is_gone(
    database: Database, lose: Callable[[Path], None]
) -> None:
    await database.read(run_sql, COUNT)
    lose(_file(database))

    for _ in range(2):
        with pytest.raises(DatabaseFileLost):
            await database.write(run_sql, WRITE)
        with pytest.raises(DatabaseFileLost):
            await database.read(run_sql, COUNT)
    assert "gone" in await database.problem()


async def test_a_file_that_comes_back_is_used_again(database: Database) -> None:
    folder = _file(database).parent
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(DatabaseFileLost):
        await database.write(run_sql, WRITE)

    folder.with_name("elsewhere").rename(folder)

    await database.write(run_sql, WRITE)
    assert await database.problem() == ""


async def test_a_full_disk_is_a_problem_before_it_is_full(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(_file(database).parent).free
    monkeypatch.setattr(disk, "MIN_FREE_BYTES", free * 2)

    assert "MB are free" in await database.problem()


async def test_looking_for_problems_takes_no_lock_unless_a_write_has_failed(
    database: Database,
) -> None:
    with _locked(database):
        assert await database.problem() == ""
        with pytest.raises(DatabaseUnavailable):
            await database.write(run_sql, WRITE)
        assert "does not answer" in await database.problem()

    assert await database.problem() == ""


async def test_a_request_is_told_that_the_database_is_gone(file_settings: Settings) -> None:
    async with running_app(file_settings) as app:
        assert (await app.http.get("/health/ready")).status_code == 200
        _remove_folder(_file(app.services.database))

        asked = await app.http.post("/api/chat", json={"message": "Hello"})
        listed = await app.http.get("/api/threads")

        async def is_reported() -> bool:
            return (await app.http.get("/health/ready")).status_code == 503

        await eventually(is_reported)

    for response in (asked, listed):
        assert response.status_code == 503
        assert "is gone" in response.json()["detail"]


async def test_another_process_that_closes_the_file_leaves_the_wal_in_use(
    database: Database,
) -> None:
    # Each read at the same time opens a connection.
    await asyncio.gather(*(database.read(_slow_count) for _ in range(4)))
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    code += f"c.execute({COUNT!r}); c.close()"
    arguments = (sys.executable, "-c", code, str(_file(database)))
    process = await asyncio.create_subprocess_exec(*arguments)

    assert await process.wait() == 0
    await database.write(run_sql, WRITE)
    assert await database.problem() == ""


def _slow_count(connection: Connection) -> None:
    time.sleep(0.1)
    run_sql(connection, COUNT)
