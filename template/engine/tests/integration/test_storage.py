"""Tests the limit of what one user may store, in threads and in files, on both databases."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from support.app import Running, running_app
from support.images import FINAL, draw, of_type
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.storage import used_bytes
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.requests import add, create, events, op, thread_id

Json = dict[str, Any]
LIMIT = 100_000
BIG = "x" * 30_000
FILE_BYTES = 30_000


@pytest.fixture
async def app(each_database: Settings) -> AsyncGenerator[Running]:
    limited = each_database.model_copy(update={"max_user_storage_bytes": LIMIT})
    async with running_app(limited) as running:
        yield running


async def _used(app: Running) -> int:
    return await app.services.database.read(used_bytes, "local")


async def _announce(app: Running) -> httpx2.Response:
    return await app.chatkit(
        op("attachments.create", name="a.txt", size=FILE_BYTES, mime_type="text/plain")
    )


async def _fill(app: Running) -> str:
    """Write until a message is refused, and return the thread."""
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))
    for _ in range(20):
        streamed = events((await app.chatkit(add(thread, BIG))).text)
        if streamed[-1]["type"] == "error":
            assert "storage is full" in streamed[-1]["message"]
            assert streamed[-1]["allow_retry"] is False
            return thread
    raise AssertionError("nothing was refused")


async def test_a_message_beyond_the_limit_is_refused_until_a_thread_is_deleted(
    app: Running,
) -> None:
    thread = await _fill(app)
    before = await _used(app)

    plain = await app.http.post("/api/chat", json={"message": BIG, "thread_id": thread})
    new = events((await app.chatkit(create(BIG))).text)

    assert plain.status_code == 413
    assert plain.json()["code"] == "storage_full"
    assert [event["type"] for event in new] == ["error"]
    assert await _used(app) == before
    await app.chatkit(op("threads.delete", thread_id=thread))
    assert await _used(app) == 0
    assert "error" not in [event["type"] for event in events((await app.chatkit(create(BIG))).text)]


async def test_files_that_are_announced_at_once_stay_within_the_limit(app: Running) -> None:
    answers = await asyncio.gather(*(_announce(app) for _ in range(8)))

    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [413] * 5
    assert await _used(app) == 3 * FILE_BYTES
    await app.chatkit(op("attachments.delete", attachment_id=accepted[0]))
    assert (await _announce(app)).status_code == 200


async def test_a_file_that_is_sent_directly_counts_and_is_refused_without_a_rest(
    app: Running,
) -> None:
    async def send() -> int:
        files = {"file": ("a.txt", b"x" * FILE_BYTES, "text/plain")}
        return (await app.http.post("/api/attachments", files=files)).status_code

    assert [await send() for _ in range(4)] == [200, 200, 200, 413]
    assert len(await app.services.database.read(run_sql, "SELECT id FROM attachments")) == 3
    assert await app.services.database.read(run_sql, "SELECT key FROM dead_blobs") == []


async def test_what_a_turn_writes_counts_with_its_bytes(app: Running) -> None:
    await app.chatkit(create("Hello"))
    sizes = await app.services.database.read(run_sql, "SELECT size, data FROM items")

    assert await _used(app) == sum(len(data.encode()) for _, data in sizes) > 0
    assert all(size == len(data.encode()) for size, data in sizes)


async def test_a_generated_image_beyond_the_limit_is_replaced_by_a_notice(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    limited = with_model.model_copy(
        update={"image_generation": True, "max_user_storage_bytes": 4000}
    )
    async with running_app(limited) as app:
        streamed = await draw(app, model_api, FINAL + bytes(5000))
        rows = await app.services.database.read(run_sql, "SELECT id FROM attachments")

    assert "storage is full" in of_type(streamed, "notice")[0]["message"]
    assert rows == []
