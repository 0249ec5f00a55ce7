"""Tests an image that is being stored while its thread is deleted or its turn is ended."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from chatkit.store import NotFoundError
from chatkit.types import GeneratedImage, GeneratedImageItem
from support.images import FINAL
from support.sql import run_sql
from support.store import ADA, NOW, THREAD, fill

from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import files, generated_images
from chatkit_engine.store.attachments import AttachmentDetails, make_attachment
from chatkit_engine.store.blob_cleanup import CLAIM_SECONDS, delete_dead_blobs
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.files import Files
from chatkit_engine.store.leases import Lease, LeaseLost
from chatkit_engine.store.process_lock import ProcessLock

GIBIBYTE = 1024**3
IMAGE = make_attachment(
    "img_1", "a red circle", "image/png", AttachmentDetails(size=len(FINAL), uploaded=True)
).model_copy(update={"thread_id": THREAD})
ITEM = GeneratedImageItem(
    id=IMAGE.id,
    thread_id=THREAD,
    created_at=NOW,
    image=GeneratedImage(id=IMAGE.id, url="/api/images/img_1"),
)


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncGenerator[Blobs]:
    async with aclosing(Blobs(Settings(upload_dir=tmp_path / "uploads"))) as blobs:
        yield blobs


@pytest.fixture
async def turn(store: SqlStore) -> TurnStore:
    await fill(store, 1)
    turn = TurnStore(store.database, Lease(THREAD, ADA.user.id))
    await turn.begin(ProcessLock(None), Opening())
    return turn


async def _write(turn: TurnStore, blobs: Blobs, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Store the image, and do something else when half of it is written."""

    async def chunks() -> AsyncIterator[bytes]:
        yield FINAL[:10]
        await meanwhile()
        yield FINAL[10:]

    claimed = await turn.database.write(generated_images.add_and_claim, turn.lease, IMAGE, GIBIBYTE)
    await Files(turn.database, blobs).write(ADA.user.id, IMAGE, chunks(), claimed, files.discard)


async def _nothing() -> None:
    return None


async def _left(turn: TurnStore, blobs: Blobs) -> list[object]:
    await delete_dead_blobs(turn.database, blobs)
    rows = await turn.database.read(run_sql, "SELECT id FROM attachments")
    dead = await turn.database.read(run_sql, "SELECT key FROM dead_blobs")
    return [*rows, *dead, *await blobs.keys(ADA.user.id)]


async def test_a_thread_that_is_deleted_meanwhile_takes_the_image_along(
    store: SqlStore, turn: TurnStore, blobs: Blobs
) -> None:
    with pytest.raises(NotFoundError):
        await _write(turn, blobs, lambda: store.delete_thread(THREAD, ADA))

    assert await _left(turn, blobs) == []
    with pytest.raises(NotFoundError):
        await turn.database.write(generated_images.add_and_claim, turn.lease, IMAGE, GIBIBYTE)


async def test_a_turn_that_is_ended_meanwhile_takes_the_image_along(
    turn: TurnStore, blobs: Blobs
) -> None:
    with pytest.raises(NotFoundError):
        await _write(turn, blobs, lambda: turn.abandon(None))

    assert await _left(turn, blobs) == []


async def test_a_turn_that_has_ended_stores_no_image(turn: TurnStore, blobs: Blobs) -> None:
    await turn.close("interrupted", [], None)

    with pytest.raises(LeaseLost):
        await turn.database.write(generated_images.add_and_claim, turn.lease, IMAGE, GIBIBYTE)

    assert await _left(turn, blobs) == []


async def test_a_write_that_was_killed_is_cleared_away_when_its_claim_has_passed(
    turn: TurnStore, blobs: Blobs
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield FINAL

    await turn.database.write(generated_images.add_and_claim, turn.lease, IMAGE, GIBIBYTE)
    await blobs.put(blob_key(ADA.user.id, IMAGE.id), content())
    await turn.close("failed", [], None)

    await turn.database.write(
        run_sql,
        "UPDATE dead_blobs SET created_at = created_at - :seconds",
        seconds=CLAIM_SECONDS,
    )
    assert await _left(turn, blobs) == []


async def test_an_image_that_an_item_shows_outlives_a_turn_that_failed(
    turn: TurnStore, blobs: Blobs
) -> None:
    await _write(turn, blobs, _nothing)
    await turn.add_thread_item(THREAD, ITEM, ADA)
    await turn.close("failed", [], None)

    assert len(await _left(turn, blobs)) == 2


async def test_an_item_that_is_deleted_takes_its_image_along(
    store: SqlStore, turn: TurnStore, blobs: Blobs
) -> None:
    await _write(turn, blobs, _nothing)
    await turn.add_thread_item(THREAD, ITEM, ADA)
    await turn.close("completed", [], None)

    await store.delete_thread_item(THREAD, IMAGE.id, ADA)

    assert await _left(turn, blobs) == []
