"""Bytes and rows agree after concurrent uploads, deletes, messages and sweeps."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from chatkit.store import NotFoundError
from features.attachments.files import (
    PNG,
    announced,
    put,
    rows,
    sent,
    stored_bytes,
    upload,
    uploaded,
)
from support.app import Running, running_app
from support.sql import run_sql

from chatkit_engine.context import User
from chatkit_engine.features.attachments.inspector import Inspector
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.features.attachments.uploads import Uploads
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import files
from chatkit_engine.store.blob_cleanup import CLAIM_SECONDS
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.testing.requests import Json, op

ADA = User(id="local")
GIBIBYTE = 1024**3
LATER = "UPDATE dead_blobs SET created_at = created_at - :seconds"
NEXT_DAY = "UPDATE attachments SET created_at = created_at - 25 * 3600"


@pytest.fixture
async def app(each_database: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Running]:
    # As many uploads at once as the tests start.
    monkeypatch.setenv("ATTACHMENT_MAX_PER_MESSAGE", "100")
    async with running_app(each_database) as running:
        yield running


@pytest.fixture
async def uploads(app: Running) -> AsyncGenerator[Uploads]:
    """Uploads as another process would serve them."""
    settings = app.services.settings
    own = AttachmentsSettings()
    async with aclosing(Blobs(settings)) as blobs, aclosing(Inspector(own)) as inspector:
        yield Uploads(app.services.database, blobs, inspector, own, GIBIBYTE)


async def _delete(app: Running, attachment_id: str) -> httpx2.Response:
    return await app.chatkit(op("attachments.delete", attachment_id=attachment_id))


async def _check_whole(app: Running) -> None:
    """Check that all bytes have a row that knows of them, and the other way round."""
    uploaded_ = [id_ for id_, size in await rows(app, "id, size") if size is not None]
    assert sorted(stored_bytes()) == sorted(uploaded_)
    assert await rows(app, "key", "dead_blobs") == []


class Reading(io.BytesIO):
    """A file that does something while its bytes are on their way into the storage."""

    def __init__(self, content: bytes, meanwhile: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(content)
        self._meanwhile = meanwhile
        self._loop = asyncio.get_running_loop()

    def read(self, size: int | None = -1) -> bytes:
        if size and size > 2**19:
            asyncio.run_coroutine_threadsafe(self._meanwhile(), self._loop).result()
        return super().read(size)


async def test_a_delete_while_bytes_are_stored_removes_row_and_bytes(
    app: Running, uploads: Uploads
) -> None:
    async def delete_all() -> None:
        for attachment_id in await rows(app):
            await _delete(app, attachment_id)

    with pytest.raises(NotFoundError):
        await uploads.add(ADA, Reading(PNG, delete_all), "photo.png", "image/png")

    assert await rows(app) == []
    await _check_whole(app)


async def test_an_erase_while_bytes_are_stored_removes_row_and_bytes(
    app: Running, uploads: Uploads
) -> None:
    async def erase() -> None:
        assert (await app.http.delete("/api/me/data")).status_code == 200

    with pytest.raises(NotFoundError):
        await uploads.add(ADA, Reading(PNG, erase), "photo.png", "image/png")

    assert await rows(app) == []
    await _check_whole(app)


async def test_a_delete_while_bytes_arrive_removes_row_and_bytes(app: Running) -> None:
    attachment = await announced(app)

    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:10]
        assert (await _delete(app, attachment["id"])).status_code == 200
        yield PNG[10:]

    assert (await put(app, attachment, slow())).status_code == 404
    assert await rows(app) == []
    await _check_whole(app)


async def test_only_one_upload_writes_the_bytes_at_a_time(app: Running) -> None:
    attachment = await announced(app)
    database = app.services.database
    await database.write(files.claim, ADA.id, attachment["id"])

    assert (await put(app, attachment, PNG)).status_code == 409
    assert stored_bytes() == []

    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    assert (await put(app, attachment, PNG)).status_code == 204
    await _check_whole(app)


async def test_an_upload_that_was_taken_over_does_not_count(app: Running) -> None:
    attachment = await announced(app)
    database = app.services.database
    stored = await database.read(files.load, ADA.id, attachment["id"])
    slow = await database.write(files.claim, ADA.id, attachment["id"])
    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)

    assert (await put(app, attachment, PNG)).status_code == 204
    with pytest.raises(NotFoundError):
        await database.write(files.complete, ADA.id, stored.attachment, slow)

    await _check_whole(app)


async def test_an_upload_that_was_killed_is_cleared_away_and_may_be_repeated(
    app: Running, uploads: Uploads
) -> None:
    attachment = await announced(app)
    await app.services.database.write(files.claim, ADA.id, attachment["id"])
    await _write_bytes(app, attachment)

    await uploads.sweep()
    assert stored_bytes() == [attachment["id"]]

    await app.services.database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    await uploads.sweep()
    await _check_whole(app)

    assert (await put(app, attachment, PNG)).status_code == 204
    await _check_whole(app)


async def _write_bytes(app: Running, attachment: Json) -> None:
    """Leave what an upload leaves that is killed before it can say that it is done."""

    async def content() -> AsyncIterator[bytes]:
        yield PNG

    blobs = Blobs(app.services.settings)
    await blobs.put(blob_key(ADA.id, attachment["id"]), content())


async def test_rows_and_bytes_agree_after_any_concurrent_operations(
    app: Running, uploads: Uploads
) -> None:
    announced_ = [await announced(app) for _ in range(6)]
    uploaded_ = [await uploaded(app) for _ in range(6)]
    everything = [*announced_, *uploaded_]

    answers = await asyncio.gather(
        *(put(app, each, PNG) for each in announced_ for _ in range(3)),
        *(_delete(app, each["id"]) for each in everything[::2]),
        *(app.chatkit(sent("Look", each)) for each in everything[::3]),
        *(upload(app, PNG) for _ in range(3)),
        uploads.sweep(),
    )

    statuses = {answer.status_code for answer in answers if answer is not None}
    assert statuses <= {200, 204, 404, 409}
    await uploads.sweep()
    await _check_whole(app)


async def test_a_sweep_keeps_files_that_are_being_sent(app: Running, uploads: Uploads) -> None:
    photos = [await uploaded(app) for _ in range(8)]
    await app.services.database.write(run_sql, NEXT_DAY)

    answers, _, _ = await asyncio.gather(
        asyncio.gather(*(app.chatkit(sent("Look", photo)) for photo in photos)),
        uploads.sweep(),
        uploads.sweep(),
    )

    assert {answer.status_code for answer in answers} <= {200, 404}
    assert len(await rows(app)) == [answer.status_code for answer in answers].count(200)
    await _check_whole(app)
