"""A pytest plugin: isolates each test in an empty folder, without settings or network access.

    [pytest]
    addopts = -p chatkit_engine.testing.plugin
    chatkit_app = app

`chatkit_app` is the application's package. The fixtures:

| fixture | what it is |
|---|---|
| `app` | the running application, with the demo model |
| `app_with_model` | the running application, with the real client against `model_api` |
| `model_api` | a fake model API: `model_api.script(Reply("Hello"))` sets its next answer |
| `settings`, `with_model` | the settings of these two, to change and pass to `running_app` |
| `database` | an empty, migrated database, for tests of a service alone |
| `each_database`, `postgres_url` | settings for SQLite and PostgreSQL in turn; a new database |
| `add_feature` | writes a feature into the test's own folder |
"""

import gc
import sys
from collections.abc import AsyncGenerator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from chatkit_engine.discovery import settings_class
from chatkit_engine.models.chat_model import ChatModel
from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.demo.replies import NOTICE
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.testing.app import QUIET, Running, running_app, with_provider
from chatkit_engine.testing.databases import MigratedDatabases
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.features import AddFeature, feature_adder
from chatkit_engine.testing.postgres import Postgres, running_postgres

COLLECT_AFTER = (10_000, 10, 10)
LOOPBACK_NAMES = ("localhost", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("chatkit_app", "The application's package.", default="app")


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_refuse_network)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts PostgreSQL as slow, before tests are chosen by their marks."""
    for item in items:
        if "postgres" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage less often, and never what was imported: the SDKs have 400,000 objects."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _is_loopback(host: object) -> bool:
    try:
        return host is None or host in LOOPBACK_NAMES or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise an error for every connection and lookup outside this machine, from any library."""
    if event == "socket.getaddrinfo" and not _is_loopback(arguments[0]):
        raise RuntimeError(f"a test looked up {arguments[0]!r}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])  # pyright: ignore[reportUnknownArgumentType]
        if not _is_loopback(host):
            raise RuntimeError(f"a test connected to {host!r}")


@pytest.fixture(scope="session")
def chatkit_app(pytestconfig: pytest.Config) -> str:
    """The name of the application's package."""
    return str(pytestconfig.getini("chatkit_app"))


@pytest.fixture(scope="session")
def make_settings_class(chatkit_app: str) -> type[Settings]:
    """The application's settings class."""
    return settings_class(chatkit_app)


@pytest.fixture(autouse=True)
def isolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_settings_class: type[Settings]
) -> None:
    """Hide the developer's settings, and run the test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in [*make_settings_class.model_fields, "openai_model"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///data/chat.db")
    monkeypatch.setenv("THREAD_TITLES", "false")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def add_feature(chatkit_app: str, tmp_path: Path) -> Iterator[AddFeature]:
    """Write a feature into a folder of its own, where the application discovers it."""
    with feature_adder(chatkit_app, tmp_path / "features") as add:
        yield add


@pytest.fixture(scope="session")
def migrated(chatkit_app: str) -> Iterator[MigratedDatabases]:
    """Creates migrated databases."""
    databases = MigratedDatabases(chatkit_app)
    yield databases
    databases.remove()


@pytest.fixture
def settings(
    migrated: MigratedDatabases, make_settings_class: type[Settings], tmp_path: Path
) -> Settings:
    """Settings for an empty, migrated SQLite database."""
    return make_settings_class(database_url=migrated.sqlite(tmp_path))


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    """An empty, migrated database, without an application."""
    opened = open_database(settings)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that the tests of this process share."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a new database without tables."""
    return postgres.create_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def each_database(
    request: pytest.FixtureRequest,
    migrated: MigratedDatabases,
    make_settings_class: type[Settings],
    tmp_path: Path,
) -> Settings:
    """Settings for an empty, migrated database of each kind, which several processes may open."""
    if request.param == "sqlite":
        return make_settings_class(database_url=migrated.sqlite(tmp_path))
    server: Postgres = request.getfixturevalue("postgres")
    return make_settings_class(database_url=migrated.postgresql(server))


@pytest.fixture(scope="session")
def served_model_api() -> Iterator[FakeModelApi]:
    with FakeModelApi().running() as api:
        yield api


@pytest.fixture
def model_api(served_model_api: FakeModelApi) -> FakeModelApi:
    """A fake model API: `model_api.script(Reply("Hello"))` sets its next answer."""
    served_model_api.reset()
    return served_model_api


@pytest.fixture
def with_model(settings: Settings, model_api: FakeModelApi) -> Settings:
    """Settings for the real client against the fake API."""
    return with_provider(settings, model_api)


@pytest.fixture
async def app(settings: Settings, chatkit_app: str) -> AsyncGenerator[Running]:
    """The application with the demo model, without its pauses between words."""
    model = ChatModel("demo", DemoModel(word_seconds=0), notice=NOTICE)
    async with running_app(settings, model, app=chatkit_app) as running:
        yield running


@pytest.fixture
async def app_with_model(with_model: Settings, chatkit_app: str) -> AsyncGenerator[Running]:
    """The application with the real client against the fake API."""
    async with running_app(with_model, app=chatkit_app) as running:
        yield running
