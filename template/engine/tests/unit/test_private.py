"""Nobody but the service's own user may read the database, the uploads and an export."""

import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.app import make_settings, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.private import create_private, readable_by_others
from chatkit_engine.testing.requests import create


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _settings(folder: Path) -> Settings:
    return make_settings(
        database_url=f"sqlite:///{folder}/data/chat.db", upload_dir=folder / "files" / "uploads"
    )


async def test_new_folders_and_databases_are_closed_to_others(tmp_path: Path) -> None:
    async with running_app(_settings(tmp_path)) as app:
        await app.ask(create("Hello"))
        await app.services.blobs.put("a/b", _chunks())

        folders = [tmp_path / name for name in ("data", "files", "files/uploads")]
        files = [path for path in (tmp_path / "data").iterdir() if path.name.startswith("chat.db")]
        assert {path.name for path in files} >= {"chat.db", "chat.db-wal", "chat.db-shm"}
        assert {_mode(path) for path in folders} == {0o700}
        assert {_mode(path) & 0o077 for path in files} == {0}
        assert any(path.suffix == ".lock" for path in files)


async def test_doctor_names_a_database_that_others_may_read(tmp_path: Path) -> None:
    shared = tmp_path / "shared.db"
    shared.touch(mode=0o644)

    assert readable_by_others(shared)
    async with running_app(make_settings(database_url=f"sqlite:///{shared}")):
        assert _mode(shared) == 0o644


def test_an_export_is_closed_to_others(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    old.touch(mode=0o644)
    for path in (tmp_path / "new.jsonl", old):
        with create_private(path) as output:
            output.write(b"{}\n")
        assert _mode(path) == 0o600


async def _chunks() -> AsyncIterator[bytes]:
    yield b"a file"
