"""Blob storage: a folder or an S3-compatible bucket. Blobs are streamed, never held in memory."""

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from chatkit_engine.errors import NotFound, Unavailable
from chatkit_engine.i18n import _
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.disk import disk_problem
from chatkit_engine.store.private import make_private_folder

log = structlog.stdlib.get_logger(__name__)

CHUNK_BYTES = 64 * 1024
PARALLEL_PARTS = 4
CONNECT_SECONDS = 5
REQUEST_SECONDS = 300
RETRY_SECONDS = 10
MAX_RETRIES = 3
SHUTDOWN_SECONDS = 0.05
# obstore writes a local file under its name with "#" and a number, and renames it at the end.
PART = "#"
# No user has this prefix, so a bucket lists nothing.
PROBE = "readiness"


class BlobMissing(NotFound):
    """There is no blob under the key."""

    def __init__(self) -> None:
        super().__init__(_("The file's content is gone. Upload it again."))


class BlobsUnavailable(Unavailable):
    """The storage cannot be reached or refuses the request. The log says why."""

    def __init__(self) -> None:
        super().__init__(_("The file storage does not answer. Try again in a few seconds."))


def user_prefix(user_id: str) -> str:
    """Return the prefix of all the user's keys: a hash, so that a key does not reveal the user."""
    return f"{sha256(user_id.encode()).hexdigest()[:32]}/"


def blob_key(user_id: str, name: str) -> str:
    """Return the key of a user's blob. `name` must be an id of ours, never a client's file name."""
    return user_prefix(user_id) + name


class Blobs:
    """Blobs by key, in the bucket `UPLOAD_BUCKET` if that is set, else in the folder `UPLOAD_DIR`.

    Raises:
        BlobsUnavailable: from each method.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store all chunks or nothing. An error raised by the iterator is passed on."""
        with _storage_errors():
            await obstore.put_async(self._store, key, chunks, max_concurrency=PARALLEL_PARTS)

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Return the blob in chunks.

        Raises:
            BlobMissing: there is no such blob.
        """
        with _storage_errors():
            try:
                result = await obstore.get_async(self._store, key)
            except FileNotFoundError:
                raise BlobMissing from None
        return _chunks(result.stream(CHUNK_BYTES))

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs; ignore those that do not exist."""
        with _storage_errors():
            try:
                await obstore.delete_async(self._store, keys)
            except FileNotFoundError:
                # A folder stops at the first missing file.
                for key in keys:
                    with suppress(FileNotFoundError):
                        await obstore.delete_async(self._store, key)
            await asyncio.to_thread(self._delete_parts, keys)

    async def keys(self, user_id: str) -> list[str]:
        """Return the keys of all the user's blobs, including those of interrupted writes."""
        prefix = user_prefix(user_id)
        with _storage_errors():
            pages = obstore.list(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]
            whole = [entry["path"] async for page in pages for entry in page]
            parts = await asyncio.to_thread(self._parts, prefix, "*")
        return sorted({*whole, *(prefix + part.name.rpartition(PART)[0] for part in parts)})

    async def problem(self) -> str:
        """Return why nothing could be stored, or an empty string. Writes nothing."""
        if self._settings.upload_bucket is None:
            return await asyncio.to_thread(self._folder_problem)
        try:
            pages = obstore.list(self._store, PROBE, chunk_size=1)  # pyright: ignore[reportUnknownMemberType]
            await anext(aiter(pages), None)
        except (BaseError, OSError):
            log.exception("the file storage failed")
            return "the bucket does not answer, or refuses the request"
        return ""

    async def aclose(self) -> None:
        """Let obstore's threads finish, because an interpreter that exits first aborts."""
        if "_store" in vars(self):
            await asyncio.sleep(SHUTDOWN_SECONDS)

    def _parts(self, prefix: str, name: str) -> list[Path]:
        """Return the leftovers of interrupted writes in the folder. A bucket does not list any."""
        folder = self._settings.upload_dir / prefix
        return [] if self._settings.upload_bucket else list(folder.glob(f"{name}{PART}*"))

    def _delete_parts(self, keys: Sequence[str]) -> None:
        for key in keys:
            prefix, slash, name = key.rpartition("/")
            for part in self._parts(prefix + slash, name):
                part.unlink(missing_ok=True)

    def _folder_problem(self) -> str:
        folder = self._settings.upload_dir
        # The first upload creates it.
        if "_store" not in vars(self) and not folder.exists():
            return ""
        return disk_problem(folder)

    @cached_property
    def _store(self) -> ObjectStore:
        settings = self._settings
        if settings.upload_bucket is not None:
            return _bucket(settings, settings.upload_bucket)
        make_private_folder(settings.upload_dir)
        return LocalStore(settings.upload_dir, automatic_cleanup=True)


def _bucket(settings: Settings, name: str) -> S3Store:
    """Return the store. Settings that are None come from AWS's own environment variables."""
    secret = settings.upload_secret_access_key
    given: dict[str, Any] = {
        "endpoint": settings.upload_endpoint_url,
        "region": settings.upload_region,
        "access_key_id": settings.upload_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    return S3Store(
        name,
        client_options={
            "allow_http": (settings.upload_endpoint_url or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        },
        **{key: value for key, value in given.items() if value is not None},
    )


async def _chunks(stream: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    with _storage_errors():
        async for chunk in stream:
            yield bytes(chunk)


@contextmanager
def _storage_errors() -> Generator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        log.exception("the file storage failed")
        raise BlobsUnavailable from error
