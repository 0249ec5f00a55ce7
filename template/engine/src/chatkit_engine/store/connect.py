"""Chooses the implementation for a database URL."""

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import SQLITE, parse_database_url
from chatkit_engine.store.database import Database
from chatkit_engine.store.postgresql import PostgresDatabase
from chatkit_engine.store.sqlite import SqliteDatabase


def open_database(settings: Settings, url: str | None = None) -> Database:
    """Return the database at `url`, or the settings' one. It connects at its first use.

    Raises:
        OSError: the folder of a SQLite file cannot be created.
        ValueError: the URL is not one of a supported database.
    """
    parsed = parse_database_url(url or settings.database_url)
    if parsed.drivername == SQLITE:
        return SqliteDatabase(parsed, settings.database_timeout_seconds)
    return PostgresDatabase(parsed, settings)
