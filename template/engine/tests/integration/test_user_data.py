"""A user's right to their data: all of it in the export, none of it left after the erase."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadMetadata
from sqlalchemy import Connection, make_url
from support.app import SECRET, Running, running_app
from support.sql import run_sql

from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.database import Database
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


async def test_the_export_holds_all_of_one_and_nothing_of_others(settings: Settings) -> None:
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


async def test_after_the_erase_nothing_of_one_is_left_and_all_of_others(
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
        found = await app.http.get(
            "/api/threads/search", params={"q": _word(ONE)}, headers=_as(settings, ONE)
        )
        assert found.json() == []
        after = await _export(app, settings, OTHER)
        assert after.splitlines()[1:] == before.splitlines()[1:]
        again = await app.http.post(
            "/chatkit", json=create("Hello again"), headers=_as(settings, ONE)
        )
        assert events(again.text)[-1]["type"] != "error"


async def test_an_export_that_cannot_be_whole_is_refused_before_it_begins(
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


async def test_no_byte_is_left_in_sqlite_files_while_the_server_runs(tmp_path: Path) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        assert _traces(tmp_path, ONE, _word(ONE))

        await app.http.delete("/api/me/data", headers=_as(settings, ONE))

        assert _traces(tmp_path, ONE, _word(ONE)) == []
        assert _traces(tmp_path, _word(OTHER))
    assert _traces(tmp_path, ONE, _word(ONE)) == []


async def test_what_was_deleted_before_the_erase_is_overwritten_too(tmp_path: Path) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        headers = _as(settings, ONE)
        for thread in (await app.http.get("/api/threads", headers=headers)).json()["data"]:
            await app.http.delete(f"/api/threads/{thread['id']}", headers=headers)
        await app.services.database.write(run_sql, "DELETE FROM tombstones")
        assert _traces(tmp_path, _word(ONE))

        assert (await app.http.delete("/api/me/data", headers=headers)).json() == {"usage": 3}

        assert _traces(tmp_path, ONE, _word(ONE)) == []


async def test_an_erase_that_could_not_overwrite_does_so_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    settings = _with_tokens(Settings(database_url=f"sqlite:///{tmp_path}/chat.db"))
    async with _inhabited(settings) as app:
        reader = sqlite3.connect(tmp_path / "chat.db")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        await app.services.database.read(run_sql, "PRAGMA busy_timeout = 50")
        headers = _as(settings, ONE)

        refused = await app.http.delete("/api/me/data", headers=headers)
        reader.close()
        again = await app.http.delete("/api/me/data", headers=headers)

        assert (refused.status_code, again.status_code) == (503, 200)
        assert _traces(tmp_path, ONE, _word(ONE)) == []


@pytest.mark.slow
async def test_no_byte_is_left_in_postgresql_tables_indexes_and_log() -> None:
    with running_postgres() as postgres:
        settings = _with_tokens(Settings(database_url=postgres.create_database()))
        folder = postgres.server.pgdata
        async with _inhabited(settings) as app:
            database, blobs = app.services.database, app.services.blobs
            postgres.server.psql("CHECKPOINT")
            await database.write(run_sql, "ANALYZE")
            assert _traces(folder, ONE, _word(ONE))

            await erase_user(database, blobs, ONE, (), wipe=False)
            await erase_user(database, blobs, ONE, (), wipe=True)

            assert _traces(folder, ONE, _word(ONE)) == []
            assert _traces(folder, _word(OTHER))


@pytest.mark.slow
async def test_a_role_that_may_not_touch_the_log_erases_all_the_same() -> None:
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


async def test_tables_of_a_feature_that_is_gone_and_ones_without_an_order_count_too(
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
