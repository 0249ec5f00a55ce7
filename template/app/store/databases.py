"""From a URL to its database."""

from app.database_url import SQLITE, parse_database_url
from app.settings import Settings
from app.store.engine import Database
from app.store.postgresql import PostgresDatabase
from app.store.sqlite import SqliteDatabase


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
