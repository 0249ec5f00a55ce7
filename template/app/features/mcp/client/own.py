"""The project's own server, which the assistant has too, as a process beside the application."""

import os
import sys

from pydantic import SecretStr

from app.features.mcp.settings import ServerSettings
from app.features.mcp.tools import feature_modules
from app.settings import Settings
from app.store.engine import Database

OWN = "app"


def own_server(settings: Settings, database: Database) -> ServerSettings | None:
    """Return how it is started; None where it could not see the database, or has nothing to offer.

    It is this program once more, so it has the same environment. Which database the application
    has is said to it again, in case that is not from there.
    """
    wanted = [name for module in feature_modules() for name in module.FOR_THE_ASSISTANT]
    in_memory = database.file is None and database.engine.dialect.name == "sqlite"
    if in_memory or not wanted:
        return None
    env = os.environ | {"DATABASE_URL": settings.database_url}
    return ServerSettings(
        command=sys.executable,
        args=["-m", "app.features.mcp"],
        env={name: SecretStr(value) for name, value in env.items()},
        tools=wanted,
    )
