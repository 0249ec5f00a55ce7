"""Fixtures of the engine's tests, in addition to those of `chatkit_engine.testing`."""

import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from support.app import running_app
from support.s3 import S3, running_s3

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import Running, with_provider
from chatkit_engine.testing.databases import MigratedDatabases
from chatkit_engine.testing.fake_model_api import FakeModelApi

hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"hypothesis-for-tests-{os.getuid()}")


@pytest.fixture
def file_settings(migrated: MigratedDatabases, tmp_path: Path) -> Settings:
    """Settings for a SQLite file that several processes share, or a restart opens again."""
    return Settings(database_url=migrated.sqlite(tmp_path))


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """S3-compatible storage that the tests of this process share."""
    with running_s3() as server:
        yield server


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def each_storage(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings' values for each kind of file storage in turn, each empty."""
    if request.param == "folder":
        return {"upload_dir": tmp_path / "uploads"}
    return request.getfixturevalue("s3").create_bucket()


@pytest.fixture(
    params=["responses", pytest.param("chat_completions", marks=pytest.mark.slow)],
)
def each_wire(
    request: pytest.FixtureRequest, settings: Settings, model_api: FakeModelApi
) -> Settings:
    """Settings for the real client against the fake API, on each wire in turn."""
    providers = {"responses": "openai", "chat_completions": "custom"}
    return with_provider(settings, model_api, providers[request.param])


@pytest.fixture
async def app_on_each_wire(each_wire: Settings) -> AsyncGenerator[Running]:
    """The app with the real client against the fake API, on each wire in turn."""
    async with running_app(each_wire) as running:
        yield running
