"""An export has all of a user's data, and an erase leaves none of it."""

import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadMetadata
from sqlalchemy import Connection, inspect, make_url
from support.app import SECRET, Running, running_app
from support.sql import run_sql

from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import files
from chatkit_engine.store.attachments import AttachmentDetails, make_attachment, save_attachment
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.files import Files
from chatkit_engine.store.threads import save_items, save_thread
from chatkit_engine.store.user_data import erase_user, every_row, export_user
from chatkit_engine.testing.postgres import running_postgres
from chatkit_engine.testing.requests import Json, create, events, op, thread_id

USERS = [f"person-{number:03d}" for number in range(100)]
ONE, OTHER = USERS[42], USERS[43]
FAST = ChatModel("fast", DemoModel(word_seconds=0))


@pytest.fixture
def settings(each_database: Settings) -> Settings:
    return _with_tokens(each_database)


def _with_tokens(settings: Settings) -> Settings:
    values = settings.model_dump() | {
        "auth_mode": "jwt",
        "jwt_secret": SECRET,
        "thread_titles": False,
    }
    return Settings.model_validate(values)


def _word(user: str) -> str:
    """A word that only this user's messages have."""
    return f"zebra{user.replace('-', '')}quagga"


def _as(settings: Settings, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, user, timedelta(hours=1))}"}


async def _live(app: Running, settings: Settings, user: str) -> None:
    """Leave a trace in the core's tables: threads, items, turns, feedback, deleted things."""
    headers, word = _as(settings, user), _word(user)
    for subject in ("first", "second"):
        request = create(f"{subject} {word}")
        told = events((await app.http.post("/chatkit", json=request, headers=headers)).text)
        thread = thread_id(told)
    answered = [event["item"]["id"] for event in told if event["type"] == "thread.item.done"]
    liked = op("items.feedback", thread_id=thread, item_ids=answered[-1:], kind="positive")
    await app.http.post("/chatkit", json=liked, headers=headers)
    title = {"title": f"About {word}"}
    await app.http.patch(f"/api/threads/{thread}", json=title, headers=headers)
    gone = events((await app.http.post("/chatkit", json=create(word), headers=headers)).text)
    await app.http.delete(f"/api/threads/{thread_id(gone)}", headers=headers)


@asynccontextmanager
async def _inhabited(settings: Settings) -> AsyncGenerator[Running]:
    async with running_app(settings, FAST) as app:
        await _live(app, settings, ONE)
        await _live(app, settings, OTHER)
        database: Database = app.services.database
        await database.write(_populate, set(USERS) - {ONE, OTHER})
        yield app


def _populate(connection: Connection, users: set[str]) -> None:
    """Give each of the users a thread with a message."""
    now = datetime.now(UTC)
    for user in users:
        thread = ThreadMetadata(id=f"thr_{user}", created_at=now, title=_word(user))
        content = [AssistantMessageContent(text=f"Hello {_word(user)}")]
        item = AssistantMessageItem(
            id=f"msg_{user}", thread_id=thread.id, created_at=now, content=content
        )
        save_thread(connection, thread, user)
        save_items(connection, thread.id, [item], user)


async def _export(app: Running, settings: Settings, user: str) -> str:
    response = await app.http.get("/api/me/data", headers=_as(settings, user))
    assert response.headers["content-type"] == "application/jsonl"
    return response.text


def _rows(export: str, table: str) -> list[Json]:
    lines = [json.loads(line) for line in export.splitlines()]
    return [line["row"] for line in lines if line.get("table") == table]


async def test_the_export_has_all_data_of_one_user_only(settings: Settings) -> None:
    async with _inhabited(settings) as app:
        export = await _export(app, settings, ONE)

    head = json.loads(export.splitlines()[0])
    assert (head["user"], head["format"]) == (ONE, 1)
    assert {row["data"].get("title") for row in _rows(export, "threads")} >= {f"About {_word(ONE)}"}
    assert len(_rows(export, "items")) == 4
    assert len(_rows(export, "turns")) == 2
    assert len(_rows(export, "usage")) == 3
    assert [row["kind"] for row in _rows(export, "feedback")] == ["positive"]
    assert export.count(_word(ONE)) >= 5
    assert _rows(export, "items_search") == []
    for other in USERS:
        assert other == ONE or (other not in export and _word(other) not in export)


async def test_an_erase_removes_all_data_of_one_user_only(
    settings: Settings,
) -> None:
    async with _inhabited(settings) as app:
        before = await _export(app, settings, OTHER)

        erased = await app.http.delete("/api/me/data", headers=_as(settings, ONE))

        assert erased.json() == {
            "threads": 2,
            "items": 4,
            "turns": 2,
            "feedback": 1,
            "tombstones": 1,
            "usage": 3,
        }
        assert len((await _export(app, settings, ONE)).splitlines()) == 1
        for user in (ONE, OTHER):
            found = await app.http.get(
                "/api/threads/search", params={"q": _word(ONE)}, headers=_as(settings, user)
            )
            assert found.json() == []
        after = await _export(app, settings, OTHER)
        assert after.splitlines()[1:] == before.splitlines()[1:]
        again = await app.http.post(
            "/chatkit", json=create("Hello again"), headers=_as(settings, ONE)
        )
        assert events(again.text)[-1]["type"] != "error"


async def test_an_incomplete_export_is_refused_before_it_begins(
    settings: Settings, tmp_path: Path
) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    broken = settings.model_copy(update={"upload_dir": no_folder})
    async with running_app(broken, FAST) as app:
        response = await app.http.get("/api/me/data", headers=_as(settings, ONE))

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


async def test_erasing_a_user_that_does_not_exist_erases_nothing(settings: Settings) -> None:
    async with running_app(settings, FAST) as app:
        erased = await app.http.delete("/api/me/data", headers=_as(settings, "nobody"))

    assert (erased.status_code, erased.json()) == (200, {})


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _traces(folder: Path, *words: str) -> list[str]:
    """Return the files whose raw bytes hold any of the words."""
    return [
        str(path.relative_to(folder))
        for path in _files(folder)
        if any(word.encode() in path.read_bytes() for word in words)
    ]


async def test_every_row_and_blob_of_the_user_is_deleted(settings: Settings) -> None:
    async with _inhabited(settings) as app:
        database, blobs = app.services.database, app.services.blobs
        for user in (ONE, OTHER):
            await _upload(database, blobs, user)
        assert set(await database.read(_owned_rows, ONE)) >= {"threads", "items", "attachments"}
        kept = await database.read(_owned_rows, OTHER)

        await erase_user(database, blobs, ONE, ())

        assert await database.read(_owned_rows, ONE) == {}
        assert await blobs.keys(ONE) == []
        assert await database.read(_owned_rows, OTHER) == kept
        assert len(await blobs.keys(OTHER)) == 1


async def _upload(database: Database, blobs: Blobs, user: str) -> None:
    details = AttachmentDetails(size=5, uploaded=True)
    attachment = make_attachment(f"atc_{user}", "a.txt", "text/plain", details)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"hello"

    await database.write(save_attachment, attachment, user)
    claimed = await database.write(files.claim, user, attachment.id)
    await Files(database, blobs).write(user, attachment, chunks(), claimed, files.discard)


def _owned_rows(connection: Connection, user: str) -> dict[str, int]:
    """Count the user's rows in each table, whichever column has the user."""
    inspector = inspect(connection)
    counts = {
        name: connection.exec_driver_sql(
            f"SELECT count(*) FROM {name} WHERE user_id = '{user}'"  # noqa: S608 (a test's names)
        ).scalar_one()
        for name in inspector.get_table_names()
        if any(column["name"] == "user_id" for column in inspector.get_columns(name))
    }
    return {name: count for name, count in counts.items() if count}


async def test_the_full_text_index_of_sqlite_matches_no_erased_word(tmp_path: Path) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    count = "SELECT count(*) FROM items_search WHERE items_search MATCH :word"
    async with _inhabited(settings) as app:
        database: Database = app.services.database
        assert await database.read(run_sql, count, word=_word(ONE)) != [(0,)]

        await app.http.delete("/api/me/data", headers=_as(settings, ONE))

        assert await database.read(run_sql, count, word=_word(ONE)) == [(0,)]
        assert await database.read(run_sql, count, word=_word(OTHER)) != [(0,)]


async def test_a_wipe_leaves_no_byte_in_sqlite_files_while_the_server_runs(tmp_path: Path) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        assert _traces(tmp_path, ONE, _word(ONE))

        await erase_user(app.services.database, app.services.blobs, ONE, (), wipe=True)

        assert _traces(tmp_path, ONE, _word(ONE)) == []
        assert _traces(tmp_path, _word(OTHER))
    assert _traces(tmp_path, ONE, _word(ONE)) == []


async def test_a_wipe_overwrites_what_was_deleted_before_it(tmp_path: Path) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        headers = _as(settings, ONE)
        for thread in (await app.http.get("/api/threads", headers=headers)).json()["data"]:
            await app.http.delete(f"/api/threads/{thread['id']}", headers=headers)
        assert (await app.http.delete("/api/me/data", headers=headers)).json()["usage"] == 3
        assert _traces(tmp_path, _word(ONE))

        erased = await erase_user(app.services.database, app.services.blobs, ONE, (), wipe=True)

        assert erased == {}
        assert _traces(tmp_path, ONE, _word(ONE)) == []


async def test_a_wipe_that_a_reader_blocks_succeeds_when_it_is_repeated(tmp_path: Path) -> None:
    values = {"database_url": f"sqlite:///{tmp_path}/chat.db", "database_timeout_seconds": 0.5}
    settings = _with_tokens(Settings.model_validate(values))
    async with _inhabited(settings) as app:
        database, blobs = app.services.database, app.services.blobs
        reader = sqlite3.connect(tmp_path / "chat.db")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()

        with pytest.raises(DatabaseUnavailable):
            await erase_user(database, blobs, ONE, (), wipe=True)
        reader.close()
        await erase_user(database, blobs, ONE, (), wipe=True)

        assert _traces(tmp_path, ONE, _word(ONE)) == []


@pytest.mark.slow
async def test_a_wipe_leaves_no_byte_in_postgresql_tables_indexes_and_wal() -> None:
    with running_postgres() as postgres:
        settings = _with_tokens(Settings(database_url=postgres.create_database()))
        folder = postgres.server.pgdata
        async with _inhabited(settings) as app:
            database, blobs = app.services.database, app.services.blobs
            postgres.server.psql("CHECKPOINT")
            await database.write(run_sql, "ANALYZE")
            assert _traces(folder, ONE, _word(ONE))

            await erase_user(database, blobs, ONE, ())
            await erase_user(database, blobs, ONE, (), wipe=True)

            assert _traces(folder, ONE, _word(ONE)) == []
            assert _traces(folder, _word(OTHER))


@pytest.mark.slow
async def test_a_role_that_may_not_overwrite_the_wal_erases_all_the_same() -> None:
    with running_postgres() as postgres:
        url = make_url(postgres.create_database())
        postgres.server.psql(
            f"CREATE ROLE plain LOGIN; ALTER DATABASE {url.database} OWNER TO plain"
        )
        plain = url.set(username="plain").render_as_string(hide_password=False)
        async with running_app(_with_tokens(Settings(database_url=plain)), FAST) as app:
            await _live(app, app.services.settings, ONE)
            database, blobs = app.services.database, app.services.blobs

            assert (await erase_user(database, blobs, ONE, (), wipe=True))["items"] == 4


async def test_tables_of_removed_features_and_without_an_order_are_included(
    settings: Settings,
) -> None:
    async with running_app(settings, FAST) as app:
        database, blobs = app.services.database, app.services.blobs
        await database.write(run_sql, "CREATE TABLE leftovers (user_id TEXT, body TEXT)")
        for user in ("ada", "eve"):
            insert = "INSERT INTO leftovers VALUES (:user, 'something')"
            await database.write(run_sql, insert, user=user)

        lines = [
            json.loads(line) async for line in await export_user(database, blobs, "ada", every_row)
        ]
        erased = await erase_user(database, blobs, "ada", (), wipe=True)

        assert lines[1:] == [{"table": "leftovers", "row": {"user_id": "ada", "body": "something"}}]
        assert erased == {"leftovers": 1}
        assert await database.read(run_sql, "SELECT user_id FROM leftovers") == [("eve",)]


async def test_a_search_index_that_keeps_its_texts_itself_is_exported_and_erased(
    tmp_path: Path,
) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        database: Database = app.services.database
        await database.write(_index)
        exported = _rows(await _export(app, settings, ONE), "own_search")
        await app.http.delete("/api/me/data", headers=_as(settings, ONE))
        left = await database.read(_owners)

    assert [row["text"] for row in exported] == ["mine"]
    assert left == [OTHER]


def _index(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE VIRTUAL TABLE own_search USING fts5(user_id, text)")
    for row in ((ONE, "mine"), (OTHER, "theirs")):
        connection.exec_driver_sql("INSERT INTO own_search VALUES (?, ?)", row)


def _owners(connection: Connection) -> list[str]:
    return [row[0] for row in connection.exec_driver_sql("SELECT user_id FROM own_search")]
