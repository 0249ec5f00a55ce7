"""The contract of `Blobs`, on a folder and on a real S3 API."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.app import TESTS, make_settings
from support.s3 import S3

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import BlobMissing, Blobs, BlobsUnavailable, blob_key, user_prefix
from chatkit_engine.testing.ports import free_port

LARGE = 11 * 1024 * 1024
FLAT_KIB = 64 * 1024

COPY_100_MB = """
import asyncio, re
from contextlib import aclosing
from pathlib import Path
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs

async def chunks(count):
    for number in range(count):
        yield bytes([number]) * 1024 * 1024

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

async def main():
    async with aclosing(Blobs(Settings())) as blobs:
        await blobs.put("u/small", chunks(1))
        before = peak()
        await blobs.put("u/large", chunks(100))
        read = sum([len(chunk) async for chunk in await blobs.get("u/large")])
        assert read == 100 * 1024 * 1024
        print(peak() - before)

asyncio.run(main())
"""


@pytest.fixture
async def blobs(each_storage: dict[str, Any]) -> AsyncGenerator[Blobs]:
    async with aclosing(Blobs(make_settings(**each_storage))) as blobs:
        yield blobs


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def _read(blobs: Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.get(key)])


async def test_stored_bytes_can_be_read(blobs: Blobs) -> None:
    key = blob_key("ada", "atc_1")

    await blobs.put(key, _chunks(b"Hello ", b"Ada"))

    assert await _read(blobs, key) == b"Hello Ada"
    assert await blobs.keys("ada") == [key]


@pytest.mark.parametrize("content", [b"", b"x" * LARGE], ids=["nothing", "several parts"])
async def test_any_size_is_kept_as_it_is(blobs: Blobs, content: bytes) -> None:
    await blobs.put("u/a", _chunks(content[:-7], content[-7:]))

    assert await _read(blobs, "u/a") == content


async def test_an_interrupted_write_leaves_nothing(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * LARGE
        raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        await blobs.put(blob_key("ada", "atc_1"), broken())

    assert await blobs.keys("ada") == []


async def test_an_interrupted_write_leaves_the_old_bytes(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"new"
        raise ValueError("broken off")

    await blobs.put("u/a", _chunks(b"old"))
    with pytest.raises(ValueError, match="broken off"):
        await blobs.put("u/a", broken())

    assert await _read(blobs, "u/a") == b"old"


async def test_an_unknown_key_is_missing(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        await blobs.get(blob_key("ada", "atc_unknown"))


async def test_delete_removes_existing_keys_and_ignores_missing_ones(blobs: Blobs) -> None:
    keys = [blob_key("ada", f"atc_{number}") for number in range(20)]
    for key in keys[::2]:
        await blobs.put(key, _chunks(b"x"))

    await blobs.delete(keys)
    await blobs.delete(keys)
    await blobs.delete([])

    assert await blobs.keys("ada") == []


async def test_only_the_users_bytes_are_deleted(blobs: Blobs) -> None:
    for user in ("ada", "eve"):
        for number in range(3):
            await blobs.put(blob_key(user, f"atc_{number}"), _chunks(b"x"))

    await blobs.delete(await blobs.keys("ada"))

    assert await blobs.keys("ada") == []
    assert len(await blobs.keys("eve")) == 3


@pytest.mark.parametrize("user", ["../../etc", "a/b", "a\x00b", "ada", "A" * 255, "ädä"])
def test_a_key_hides_the_user_and_cannot_escape_its_folder(user: str) -> None:
    prefix = user_prefix(user)

    assert len(prefix) == 33
    assert set(prefix[:-1]) <= set("0123456789abcdef")
    assert blob_key(user, "atc_1") == f"{prefix}atc_1"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_memory_stays_flat(each_storage: dict[str, Any], tmp_path: Path) -> None:
    environment = {name.upper(): str(value) for name, value in each_storage.items()}
    result = subprocess.run(
        [sys.executable, "-c", COPY_100_MB],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert 0 < int(result.stdout) < FLAT_KIB


async def test_a_bucket_that_does_not_answer_is_unavailable() -> None:
    settings = make_settings(
        upload_bucket="bucket",
        upload_endpoint_url=f"http://127.0.0.1:{free_port()}",
        upload_access_key_id="for-tests",
        upload_secret_access_key="for-tests-only",
    )

    with pytest.raises(BlobsUnavailable) as caught:
        await Blobs(settings).get("u/a")

    assert "127.0.0.1" not in caught.value.detail


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BlobsUnavailable):
        await Blobs(Settings(upload_dir=tmp_path / "file" / "uploads")).put("u/a", _chunks(b"x"))


async def test_the_remains_of_a_killed_write_are_found_and_deleted(tmp_path: Path) -> None:
    async with aclosing(Blobs(make_settings(upload_dir=tmp_path))) as blobs:
        written, broken = (blob_key("ada", name) for name in ("atc_1", "atc_2"))
        await blobs.put(written, _chunks(b"whole"))
        for part in (f"{written}#1", f"{broken}#7"):
            (tmp_path / part).write_bytes(b"half")

        keys = await blobs.keys("ada")
        await blobs.delete(keys)

        assert keys == [written, broken]
        assert _files(tmp_path) == []


async def test_a_storage_that_works_has_no_problem(blobs: Blobs) -> None:
    assert await blobs.problem() == ""

    await blobs.put(blob_key("ada", "atc_1"), _chunks(b"text"))

    assert await blobs.problem() == ""


async def test_a_folder_that_was_removed_is_a_problem(tmp_path: Path) -> None:
    async with aclosing(Blobs(make_settings(upload_dir=tmp_path / "uploads"))) as blobs:
        await blobs.put(blob_key("ada", "atc_1"), _chunks(b"text"))
        shutil.rmtree(tmp_path / "uploads")

        assert "removed" in await blobs.problem()


async def test_a_bucket_that_does_not_exist_is_a_problem(s3: S3) -> None:
    values = s3.create_bucket() | {"upload_bucket": "elsewhere"}

    async with aclosing(Blobs(make_settings(**values))) as blobs:
        assert "bucket" in await blobs.problem()
