"""Tests what only PostgreSQL has: URLs, the pool, lost connections, deadlocks and poolers."""

import asyncio
import time
import traceback
from collections.abc import AsyncGenerator, Callable

import pytest
from sqlalchemy import URL, Connection, make_url
from support.app import running_app
from support.logs import logged_by
from support.sql import pause, run_sql
from support.store import ADA, THREAD, fill, item_ids, make_item, open_store

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import SSL_MODES, parse_database_url
from chatkit_engine.store import failures
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.migrate import CORE, pending, upgrade
from chatkit_engine.testing.postgres import Postgres, over_tcp

pytestmark = pytest.mark.slow

PASSWORD = "p@ss/w:rd?#[]%25 +&='\\\"ü"
POOL = {"database_pool_size": 2, "database_pool_overflow": 1, "database_pool_timeout_seconds": 0.2}
Open = Callable[..., Database]


@pytest.fixture
async def open_at() -> AsyncGenerator[Open]:
    """Open databases, and close them after the test."""
    opened: list[Database] = []

    def open_url(url: URL | str, **settings: float) -> Database:
        text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        opened.append(open_database(Settings.model_validate({"database_url": text} | settings)))
        return opened[-1]

    yield open_url
    for database in opened:
        await database.aclose()


@pytest.fixture
async def store(postgres_url: str) -> AsyncGenerator[SqlStore]:
    async with open_store(Settings.model_validate({"database_url": postgres_url} | POOL)) as store:
        yield store


@pytest.fixture(scope="session")
def guarded(postgres: Postgres) -> str:
    """A user with a password, who is let in on every database."""
    postgres.create_user("guarded", PASSWORD)
    return "guarded"


async def _answers(database: Database) -> bool:
    return await database.read(run_sql, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg"]
)
async def test_every_spelling_of_the_scheme_is_understood(
    postgres_url: str, open_at: Open, scheme: str
) -> None:
    url = f"{scheme}:{postgres_url.partition(':')[2]}"

    assert parse_database_url(url).drivername == "postgresql"
    assert await _answers(open_at(url))


@pytest.mark.parametrize(
    "options",
    [
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "ssl=prefer",
        "sslmode=prefer&channel_binding=prefer&connect_timeout=10",
        "pgbouncer=true&connection_limit=1&schema=public",
        "application_name=test",
    ],
)
async def test_the_options_that_hosts_write_are_understood(
    postgres_url: str, open_at: Open, options: str
) -> None:
    async with over_tcp(postgres_url) as url:
        database = open_at(f"{url.render_as_string(hide_password=False)}?{options}")

        assert await _answers(database)
        await database.aclose()


@pytest.mark.parametrize("option", ["sslmode=require", "ssl=require", "sslmode=verify-full"])
async def test_a_server_without_tls_is_refused_where_tls_is_required(
    postgres_url: str, open_at: Open, option: str
) -> None:
    async with over_tcp(postgres_url) as url:
        database = open_at(f"{url.render_as_string(hide_password=False)}?{option}")

        with pytest.raises(DatabaseUnavailable):
            await _answers(database)


@pytest.mark.parametrize("option", ["sslmode=maybe", "ssl=perhaps"])
def test_an_unknown_sslmode_is_refused_in_words(option: str) -> None:
    with pytest.raises(ValueError, match=", ".join(SSL_MODES)):
        parse_database_url(f"postgresql://localhost/chat?{option}")


def _with_password(url: str, user: str, password: str) -> URL:
    return make_url(url).set(username=user, password=password)


async def test_a_password_may_have_any_character(
    postgres_url: str, guarded: str, open_at: Open
) -> None:
    database = open_at(_with_password(postgres_url, guarded, PASSWORD))

    assert await database.read(run_sql, "SELECT current_user") == [(guarded,)]


async def test_an_unreachable_server_is_unavailable_and_no_password_is_shown(
    postgres_url: str, guarded: str, open_at: Open
) -> None:
    elsewhere = _with_password(postgres_url, guarded, PASSWORD)
    wrong = "wr0ng-p@ssword"
    for url in (
        _with_password(postgres_url, guarded, wrong),
        elsewhere.set(database="unknown"),
        elsewhere.set(host="127.0.0.1", port=1).difference_update_query(["host"]),
        elsewhere.update_query_dict({"host": "/nowhere"}),
    ):
        with logged_by(failures) as logs, pytest.raises(DatabaseUnavailable) as caught:
            await _answers(open_at(url))

        assert logs
        told = "".join(traceback.format_exception(caught.value)) + str(logs) + str(caught.value)
        for secret in (PASSWORD, wrong, make_url(url).render_as_string(hide_password=False)):
            assert secret not in told


async def _backends(store: SqlStore) -> int:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    ((backends,),) = await store.database.read(run_sql, count)
    return backends


async def test_the_pool_is_no_larger_than_it_may_be(store: SqlStore) -> None:
    busy = [asyncio.create_task(store.database.read(pause, 0.1)) for _ in range(3)]
    await asyncio.gather(*busy)
    await asyncio.gather(*(store.database.read(pause, 0.01) for _ in range(12)))

    assert await _backends(store) == 2


async def test_an_exhausted_pool_is_unavailable_after_its_timeout(store: SqlStore) -> None:
    busy = [asyncio.create_task(store.database.read(pause, 0.6)) for _ in range(3)]
    await asyncio.sleep(0)
    begun = time.monotonic()

    with logged_by(failures), pytest.raises(DatabaseUnavailable):
        await _answers(store.database)

    assert 0.15 < time.monotonic() - begun < 0.5
    await asyncio.gather(*busy)
    assert await _answers(store.database)


async def test_a_client_is_told_to_try_again_soon(postgres_url: str) -> None:
    pool = {**POOL, "database_pool_size": 1, "database_pool_overflow": 0}
    settings = Settings.model_validate({"database_url": postgres_url} | pool)
    async with running_app(settings) as app:
        database: Database = app.chat_service.store.database
        busy = asyncio.create_task(database.read(pause, 0.5))
        await asyncio.sleep(0)

        response = await app.http.get("/api/threads")

        await busy
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "postgres" not in response.text


async def test_the_timeout_is_for_all_statements_of_a_transaction_together(
    postgres_url: str, open_at: Open
) -> None:
    database = open_at(postgres_url, database_timeout_seconds=0.5)
    await database.write(run_sql, "CREATE TABLE slow (number INTEGER)")

    def insert_slowly(connection: Connection) -> None:
        for _ in range(5):
            run_sql(connection, "INSERT INTO slow SELECT 1 FROM pg_sleep(0.2)")

    with logged_by(failures), pytest.raises(DatabaseUnavailable):
        await database.write(insert_slowly)

    assert await database.read(run_sql, "SELECT count(*) FROM slow") == [(0,)]
    assert await database.problem() == ""


async def test_a_server_that_accepts_no_writes_is_a_problem(
    postgres_url: str, open_at: Open
) -> None:
    database = open_at(postgres_url)
    name = make_url(postgres_url).database
    await database.write(run_sql, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    assert "no writes" in await open_at(postgres_url).problem()


async def test_killed_connections_are_replaced_silently(
    store: SqlStore, postgres_url: str, open_at: Open
) -> None:
    await fill(store, 1)
    await asyncio.gather(*(store.database.read(pause, 0.05) for _ in range(3)))
    kill = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    assert len(await open_at(postgres_url).read(run_sql, kill)) == 2

    names = ["msg_1", "msg_2", "msg_3"]
    await asyncio.gather(*(store.add_thread_item(THREAD, make_item(name), ADA) for name in names))
    assert sorted(await item_ids(store)) == ["msg_0", *names]


class Fails:
    """A work whose transaction fails some times after it has written."""

    def __init__(self, statement: str, times: int) -> None:
        self._statement = statement
        self._times = times
        self.calls = 0

    def __call__(self, connection: Connection) -> None:
        self.calls += 1
        run_sql(connection, "INSERT INTO written VALUES (:call)", call=self.calls)
        if self.calls <= self._times:
            run_sql(connection, self._statement)


LOST_CONNECTION = "SELECT pg_terminate_backend(pg_backend_pid())"
DEADLOCK = "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"
NOT_SERIALIZABLE = "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"
lost_transactions = pytest.mark.parametrize(
    "statement", [LOST_CONNECTION, DEADLOCK, NOT_SERIALIZABLE]
)


@lost_transactions
async def test_a_lost_transaction_is_retried(store: SqlStore, statement: str) -> None:
    await store.database.write(run_sql, "CREATE TABLE written (call integer)")
    work = Fails(statement, times=2)

    await store.database.write(work)

    assert await store.database.read(run_sql, "SELECT call FROM written") == [(3,)]


@lost_transactions
async def test_a_transaction_is_retried_a_limited_number_of_times(
    store: SqlStore, statement: str
) -> None:
    await store.database.write(run_sql, "CREATE TABLE written (call integer)")
    work = Fails(statement, times=99)

    with pytest.raises(DatabaseUnavailable):
        await store.database.write(work)

    assert work.calls == 3
    assert await store.database.read(run_sql, "SELECT call FROM written") == []


async def test_transactions_in_a_deadlock_both_succeed(store: SqlStore) -> None:
    await fill(store, 2)
    calls: list[str] = []

    def change(connection: Connection, *names: str) -> None:
        run_sql(connection, "SET LOCAL deadlock_timeout = '50ms'")
        for name in names:
            calls.append(name)
            run_sql(connection, "UPDATE items SET type = type || '.' WHERE id = :id", id=name)
            pause(connection, 0.1)

    await asyncio.gather(
        store.database.write(change, "msg_0", "msg_1"),
        store.database.write(change, "msg_1", "msg_0"),
    )

    types = await store.database.read(run_sql, "SELECT DISTINCT type FROM items")
    assert types == [("assistant_message..",)]
    assert len(calls) > 4


async def test_processes_that_migrate_an_empty_database_at_once_all_succeed(
    postgres_url: str, open_at: Open
) -> None:
    databases = [open_at(postgres_url) for _ in range(4)]

    applied = await asyncio.gather(*(upgrade(database, [CORE]) for database in databases))

    assert sorted(map(bool, applied)) == [False, False, False, True]
    assert await pending(databases[0], [CORE]) == []


async def test_nothing_outlives_a_transaction(store: SqlStore) -> None:
    """Behind a pooler the next transaction may be another client's."""
    await fill(store, 20)
    await asyncio.gather(*(item_ids(store, after="msg_3", limit=4) for _ in range(20)))
    left = (
        "SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements), "
        "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), "
        "(SELECT count(*) FROM pg_cursors WHERE name <> ''), "
        "(SELECT count(*) FROM pg_listening_channels()), "
        "pg_sleep(0.1) IS NULL"
    )

    rows = await asyncio.gather(*(store.database.read(run_sql, left) for _ in range(3)))

    assert len({pid for ((pid, *_),) in rows}) == 3
    assert all(rest == [0, 0, 0, 0, False] for ((_, *rest),) in rows)
