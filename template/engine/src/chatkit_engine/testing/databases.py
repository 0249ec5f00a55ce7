"""Creates migrated databases for tests by copying one that was migrated once in the session.

A copy is used because migrating takes most of an application's start.
"""

import asyncio
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

from chatkit_engine.application import Application
from chatkit_engine.discovery import settings_class
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import Migrations, upgrade
from chatkit_engine.testing.postgres import Postgres


class MigratedDatabases:
    """Creates test databases for the application in the package `app`."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._folder = Path(tempfile.mkdtemp(prefix="chatkit-databases-"))
        self._postgresql: dict[str, str] = {}

    def sqlite(self, folder: Path) -> str:
        """Return the URL of a new SQLite file in the folder."""
        file = folder / "chat.db"
        shutil.copyfile(self._sqlite_file, file)
        return f"sqlite:///{file}"

    def postgresql(self, server: Postgres) -> str:
        """Return the URL of a new database on the server."""
        if server.name not in self._postgresql:
            url = server.create_database()
            asyncio.run(_migrate(url, self._migrations))
            self._postgresql[server.name] = url
        return server.create_database(template=self._postgresql[server.name])

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @cached_property
    def _migrations(self) -> list[Migrations]:
        settings = settings_class(self._app)(database_url="sqlite:///:memory:")
        return Application(settings, self._app).migrations

    @cached_property
    def _sqlite_file(self) -> Path:
        file = self._folder / "migrated.db"
        asyncio.run(_migrate(f"sqlite:///{file}", self._migrations))
        return file


async def _migrate(url: str, chains: list[Migrations]) -> None:
    database = open_database(Settings(database_url=url))
    await upgrade(database, chains)
    await database.aclose()
