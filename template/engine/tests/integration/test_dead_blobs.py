"""Tests who may touch bytes without a row, and that they are deleted."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from chatkit.types import FileAttachment
from sqlalchemy import Connection
from support.sql import run_sql

from chatkit_engine.settings.core import Settings
from chatkit_engine.store import blob_cleanup
from chatkit_engine.store.attachments import delete_attachment, save_attachment
from chatkit_engine.store.blob_cleanup import CLAIM_SECONDS, delete_dead_blobs
from chatkit_engine.store.blobs import Blobs, blob_key
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, upgrade

ADA = "ada"
NAME = "atc_1"
CLOCK_TICK = 0.005
LATER = "UPDATE dead_blobs SET created_at = created_at - :seconds"


@pytest.fixture
async def database(each_database: Settings) -> AsyncGenerator[Database]:
    async with aclosing(open_database(each_database)) as database:
        await upgrade(database, [CORE])
        yield database


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncGenerator[Blobs]:
    async with aclosing(Blobs(Settings(upload_dir=tmp_path / "uploads"))) as blobs:
        yield blobs


async def _store(blobs: Blobs, *names: str) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    for name in names:
        await blobs.put(blob_key(ADA, name), content())


async def _delete_attachments(database: Database, *names: str) -> None:
    """Delete attachments, so that their bytes are due."""

    def work(connection: Connection) -> None:
        for name in names:
            attachment = FileAttachment(id=name, name="a.txt", mime_type="text/plain")
            save_attachment(connection, attachment, ADA)
            delete_attachment(connection, name, ADA)

    await database.write(work)


async def _claim(database: Database) -> float:
    claimed = await database.write(blob_cleanup.claim, ADA, NAME)
    assert claimed is not None
    return claimed


async def _waiting(database: Database) -> list[str]:
    return [row[0] for row in await database.read(run_sql, "SELECT key FROM dead_blobs")]


async def test_bytes_of_deleted_attachments_go(database: Database, blobs: Blobs) -> None:
    await _store(blobs, "atc_1", "atc_2", "atc_3")
    await _delete_attachments(database, "atc_1", "atc_2", "atc_without_bytes")

    await delete_dead_blobs(database, blobs)

    assert await blobs.keys(ADA) == [blob_key(ADA, "atc_3")]
    assert await _waiting(database) == []


async def test_many_go_in_turns(database: Database, blobs: Blobs) -> None:
    await _delete_attachments(database, *(f"atc_{number}" for number in range(501)))

    await delete_dead_blobs(database, blobs)
    assert len(await _waiting(database)) == 1

    await delete_dead_blobs(database, blobs)
    assert await _waiting(database) == []


async def test_bytes_that_are_being_written_are_left_alone(
    database: Database, blobs: Blobs
) -> None:
    await _store(blobs, NAME)
    await database.write(blob_cleanup.claim, ADA, NAME)

    await delete_dead_blobs(database, blobs)
    assert await blobs.keys(ADA) == [blob_key(ADA, NAME)]

    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    await delete_dead_blobs(database, blobs)
    assert await blobs.keys(ADA) == []


async def test_one_claims_at_a_time(database: Database) -> None:
    claims = await asyncio.gather(
        *(database.write(blob_cleanup.claim, ADA, NAME) for _ in range(5))
    )
    assert len([claim for claim in claims if claim is not None]) == 1

    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    assert await database.write(blob_cleanup.claim, ADA, NAME) is not None


async def test_a_claim_that_has_passed_keeps_nothing(database: Database) -> None:
    first = await _claim(database)
    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    await asyncio.sleep(CLOCK_TICK)
    second = await _claim(database)

    assert not await database.write(blob_cleanup.complete, ADA, NAME, first)
    await database.write(blob_cleanup.release, ADA, NAME, first)
    assert await database.write(blob_cleanup.claim, ADA, NAME) is None
    assert await database.write(blob_cleanup.complete, ADA, NAME, second)
    assert await _waiting(database) == []


async def test_a_released_claim_is_swept_and_may_be_claimed_again(
    database: Database, blobs: Blobs
) -> None:
    await _store(blobs, NAME)
    claim = await _claim(database)
    await database.write(blob_cleanup.release, ADA, NAME, claim)

    await delete_dead_blobs(database, blobs)

    assert await blobs.keys(ADA) == []
    assert await database.write(blob_cleanup.claim, ADA, NAME) is not None


async def test_a_delete_during_an_upload_leaves_the_bytes_to_it(
    database: Database, blobs: Blobs
) -> None:
    claim = await _claim(database)
    await _delete_attachments(database, NAME)
    await _store(blobs, NAME)

    await database.write(blob_cleanup.release, ADA, NAME, claim)
    await delete_dead_blobs(database, blobs)

    assert await blobs.keys(ADA) == []
    assert await _waiting(database) == []


async def test_two_sweepers_share_the_work(database: Database, blobs: Blobs) -> None:
    names = [f"atc_{number}" for number in range(20)]
    await _store(blobs, *names)
    await _delete_attachments(database, *names)

    await asyncio.gather(*(delete_dead_blobs(database, blobs) for _ in range(3)))

    assert await blobs.keys(ADA) == []
    assert await _waiting(database) == []


async def test_a_storage_that_fails_leaves_the_work_for_later(
    database: Database, blobs: Blobs, tmp_path: Path
) -> None:
    await _store(blobs, NAME)
    await _delete_attachments(database, NAME)
    (tmp_path / "file").touch()

    await delete_dead_blobs(database, Blobs(Settings(upload_dir=tmp_path / "file" / "x")))
    assert await _waiting(database) == [NAME]

    await database.write(run_sql, LATER, seconds=CLAIM_SECONDS)
    await delete_dead_blobs(database, blobs)
    assert await blobs.keys(ADA) == []
    assert await _waiting(database) == []
