"""The extension that PostgreSQL needs for vectors."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from app.store.migrate import MigrationRefused

MIN_VERSION = (0, 8)
AVAILABLE = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
INSTALLED = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
CREATE = text("CREATE EXTENSION IF NOT EXISTS vector")


class ExtensionMissing(MigrationRefused):
    """The server lacks the extension `vector`, or has one that is too old."""


def require_extension(connection: Connection) -> None:
    """Install the extension in the database, where it is not yet.

    Raises:
        ExtensionMissing: the server does not have it, the role may not, or it is too old.
    """
    if connection.scalar(AVAILABLE) is None:
        raise ExtensionMissing(
            "VECTOR_STORE=pgvector needs PostgreSQL with the extension 'vector', which this server "
            "does not have. Install pgvector on the server, or set VECTOR_STORE=embedded."
        )
    try:
        connection.execute(CREATE)
    except ProgrammingError as error:
        raise ExtensionMissing(
            "This role may not create the extension 'vector'. Have an administrator run "
            "`CREATE EXTENSION vector` in this database, then run this again."
        ) from error
    version = str(connection.scalar(INSTALLED))
    if tuple(map(int, version.split(".")[:2])) < MIN_VERSION:
        raise ExtensionMissing(
            f"The extension 'vector' has version {version}, and 0.8 is the oldest that is used. "
            "Have an administrator run `ALTER EXTENSION vector UPDATE` in this database."
        )
