"""From a URL to its database."""

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import SQLITE, parse_database_url
from chatkit_engine.store.database import Database
from chatkit_engine.store.postgresql import PostgresDatabase
from chatkit_engine.store.sqlite import SqliteDatabase


def open_database(settings: Settings, url: str | None = None) -> Database:
    """Return the settings' database, or the one at `url`. Nothing is connected yet.

    Raises:
        OSError: the folder of a SQLite file cannot be made.
        ValueError: the URL names no database that is supported.
    """
    parsed = parse_database_url(url or settings.database_url)
    if parsed.drivername == SQLITE:
        return SqliteDatabase(parsed)
    return PostgresDatabase(parsed, settings)
