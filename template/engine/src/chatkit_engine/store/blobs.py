"""Files' bytes, in a folder or in S3-compatible storage. Memory stays flat whatever their size."""

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

log = structlog.stdlib.get_logger(__name__)
CHUNK_BYTES = 64 * 1024
PARALLEL_PARTS = 4
CONNECT_SECONDS = 5
REQUEST_SECONDS = 300
RETRY_SECONDS = 10
MAX_RETRIES = 3
LET_GO_SECONDS = 0.05
PART = "#"


class BlobMissing(NotFound):
    """There are no bytes under the key."""

    def __init__(self) -> None:
        super().__init__(_("The file's content is gone. Upload it again."))


class BlobsUnavailable(Unavailable):
    """The storage cannot be reached, or refuses; the log says why."""

    def __init__(self) -> None:
        super().__init__(_("The file storage does not answer. Try again in a few seconds."))


def user_prefix(user_id: str) -> str:
    """Return what every key of the user begins with. It does not tell who the user is."""
    return f"{sha256(user_id.encode()).hexdigest()[:32]}/"


def blob_key(user_id: str, name: str) -> str:
    """Return the key of a user's bytes. `name` is an id of ours, never a name that was given."""
    return user_prefix(user_id) + name


class Blobs:
    """Bytes by key, in `UPLOAD_BUCKET` where it is set, else in the folder `UPLOAD_DIR`.

    Raises:
        BlobsUnavailable: from each method.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store all of the chunks, or nothing: what they raise is raised here."""
        with _failures_explained():
            await obstore.put_async(self._store, key, chunks, max_concurrency=PARALLEL_PARTS)

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Return the bytes in chunks.

        Raises:
            BlobMissing: there are none.
        """
        with _failures_explained():
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError:
                raise BlobMissing from None
        return _chunks(found.stream(CHUNK_BYTES))

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete the bytes; those that are not there are no error."""
        with _failures_explained():
            try:
                await obstore.delete_async(self._store, keys)
            except FileNotFoundError:
                await self._delete_each(keys)
            await asyncio.to_thread(self._delete_parts, keys)

    async def keys(self, user_id: str) -> list[str]:
        """Return the keys of all the user's bytes, those of a write that broke off among them."""
        prefix = user_prefix(user_id)
        with _failures_explained():
            pages = obstore.list(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]
            whole = [entry["path"] async for page in pages for entry in page]
            parts = await asyncio.to_thread(self._parts, prefix, "*")
        return sorted({*whole, *(prefix + part.name.rpartition(PART)[0] for part in parts)})

    async def aclose(self) -> None:
        """Wait until obstore's threads have let go: an interpreter that ends under them aborts."""
        if "_store" in vars(self):
            await asyncio.sleep(LET_GO_SECONDS)

    async def _delete_each(self, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)

    def _parts(self, prefix: str, name: str) -> list[Path]:
        """Return what writes that broke off have left in the folder; a bucket shows none."""
        folder = self._settings.upload_dir / prefix
        return [] if self._settings.upload_bucket else list(folder.glob(f"{name}{PART}*"))

    def _delete_parts(self, keys: Sequence[str]) -> None:
        for key in keys:
            prefix, slash, name = key.rpartition("/")
            for part in self._parts(prefix + slash, name):
                part.unlink(missing_ok=True)

    @cached_property
    def _store(self) -> ObjectStore:
        settings = self._settings
        if settings.upload_bucket is not None:
            return _bucket(settings, settings.upload_bucket)
        settings.upload_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(settings.upload_dir, automatic_cleanup=True)


def _bucket(settings: Settings, name: str) -> S3Store:
    """What is not set is left to AWS's own environment variables."""
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
    with _failures_explained():
        async for chunk in stream:
            yield bytes(chunk)


@contextmanager
def _failures_explained() -> Generator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        log.exception("the file storage failed")
        raise BlobsUnavailable from error
