"""Every test runs in a folder of its own, with no settings around it and no way to the network."""

import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from chatkit_engine.models.demo.model import NOTICE, DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.settings.core import Settings
from tests.support.app import Running, running_app, with_provider
from tests.support.fake_model_api import FakeModelApi
from tests.support.features import AddFeature, feature_adder, wanted_environment
from tests.support.postgres import Postgres, running_postgres
from tests.support.s3 import S3, running_s3

hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis-for-tests")

LOOPBACK_NAMES = ("localhost", "")


def _is_loopback(host: object) -> bool:
    try:
        return host is None or host in LOOPBACK_NAMES or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail whatever leaves this machine, however the code under test came to do it."""
    if event == "socket.getaddrinfo" and not _is_loopback(arguments[0]):
        raise RuntimeError(f"a test looked up {arguments[0]!r}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])  # pyright: ignore[reportUnknownArgumentType]
        if not _is_loopback(host):
            raise RuntimeError(f"a test connected to {host!r}")


sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Hide the developer's settings, and set what features ask for in their `test.env`."""
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, "openai_model"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///data/chat.db")
    monkeypatch.setenv("THREAD_TITLES", "false")
    monkeypatch.setenv("DEFAULT_PROVIDER", "openai")
    for name, value in wanted_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def add_feature(tmp_path: Path) -> Iterator[AddFeature]:
    """Write a feature as a user would, in a folder of its own, and have it found."""
    with feature_adder(tmp_path / "features") as add:
        yield add


@pytest.fixture
def settings() -> Settings:
    return Settings(database_url="sqlite:///:memory:")


@pytest.fixture
def file_settings(tmp_path: Path) -> Settings:
    """Settings for what several processes share, or a restart finds again."""
    return Settings(database_url=f"sqlite:///{tmp_path}/chat.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that the tests of this process share."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of an empty database."""
    return postgres.create_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for each database in turn, each empty and able to serve several processes."""
    if request.param == "sqlite":
        return Settings(database_url=f"sqlite:///{tmp_path}/chat.db")
    return Settings(database_url=request.getfixturevalue("postgres_url"))


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


@pytest.fixture(scope="session")
def _served_model_api() -> Iterator[FakeModelApi]:  # pyright: ignore[reportUnusedFunction]
    with FakeModelApi().running() as api:
        yield api


@pytest.fixture
def model_api(_served_model_api: FakeModelApi) -> FakeModelApi:
    _served_model_api.reset()
    return _served_model_api


@pytest.fixture
def with_model(settings: Settings, model_api: FakeModelApi) -> Settings:
    """Settings for the real client against the fake API."""
    return with_provider(settings, model_api, "openai")


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


@pytest.fixture
async def app(settings: Settings) -> AsyncGenerator[Running]:
    """The app with a demo model that does not pause between words."""
    model = ChatModel("demo", DemoModel(word_seconds=0), notice=NOTICE)
    async with running_app(settings, model) as running:
        yield running


@pytest.fixture
async def app_with_model(with_model: Settings) -> AsyncGenerator[Running]:
    """The app with the real client against the fake API."""
    async with running_app(with_model) as running:
        yield running
