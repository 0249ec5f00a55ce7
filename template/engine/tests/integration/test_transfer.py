"""Tests the transfer from SQLite to PostgreSQL: all data moves, and conversations continue."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from support.app import SAMPLE, Running, running_app

from chatkit_engine.application import Application
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.transfer import TransferRefused, transfer
from chatkit_engine.testing.requests import add, create, events, op, thread_id

pytestmark = pytest.mark.slow


async def _snapshot(app: Running, thread: str) -> list[object]:
    requests = [
        op("threads.list", limit=50),
        op("items.list", thread_id=thread, limit=50, order="asc"),
    ]
    answers = [(await app.chatkit(request)).json() for request in requests]
    used = (await app.http.get("/api/usage")).json()
    hits = (await app.http.get("/api/threads/search", params={"q": "platypus"})).json()
    return [*answers, used, sorted(hit["item_id"] for hit in hits)]


async def _fill(app: Running) -> str:
    thread = thread_id(events((await app.chatkit(create("A platypus lays eggs"))).text))
    await app.chatkit(add(thread, "Go on \\u0000 after that"))
    await app.http.patch(f"/api/threads/{thread}", json={"title": "Mammals"})
    return thread


async def _transfer(source: Settings, target: Settings) -> dict[str, int]:
    old, new = Application(source, SAMPLE), Application(target, SAMPLE)
    try:
        return await transfer(old.database, new.database, new.migrations)
    finally:
        await old.database.aclose()
        await new.database.aclose()


async def test_everything_is_transferred_and_the_conversation_continues(
    file_settings: Settings, postgres_url: str
) -> None:
    target = Settings(database_url=postgres_url)
    async with running_app(file_settings) as app:
        thread = await _fill(app)
        before = await _snapshot(app, thread)

    copied = await _transfer(file_settings, target)

    assert copied["items"] == 4
    assert copied["usage"] == 2
    async with running_app(target) as app:
        assert await _snapshot(app, thread) == before
        again = events((await app.chatkit(add(thread, "Still there?"))).text)
        assert again[-1]["type"] != "error"
        listed = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=50))
        assert [i["content"][0]["text"] for i in listed.json()["data"]][4] == "Still there?"


async def test_a_database_that_is_not_empty_is_refused_and_left_alone(
    file_settings: Settings, postgres_url: str
) -> None:
    target = Settings(database_url=postgres_url)
    for settings in (file_settings, target):
        async with running_app(settings) as app:
            await _fill(app)

    with pytest.raises(TransferRefused, match="empty one"):
        await _transfer(file_settings, target)

    async with running_app(target) as app:
        assert len((await app.http.get("/api/threads")).json()["data"]) == 1


async def test_a_transfer_that_breaks_leaves_nothing(
    file_settings: Settings, postgres_url: str
) -> None:
    target = Settings(database_url=postgres_url)
    async with running_app(file_settings) as app:
        await _fill(app)
    with sqlite3.connect(str(Path(file_settings.database_url.removeprefix("sqlite:///")))) as old:
        old.execute("UPDATE items SET thread_id = 'thr_unknown' WHERE seq = 1")
    old.close()

    with pytest.raises(IntegrityError):
        await _transfer(file_settings, target)

    async with running_app(target) as app:
        assert (await app.http.get("/api/threads")).json()["data"] == []


async def test_an_old_database_that_lacks_migrations_is_refused(
    tmp_path: Path, postgres_url: str
) -> None:
    empty = Settings(database_url=f"sqlite:///{tmp_path}/old.db")

    with pytest.raises(TransferRefused, match="Run `migrate`"):
        await _transfer(empty, Settings(database_url=postgres_url))
