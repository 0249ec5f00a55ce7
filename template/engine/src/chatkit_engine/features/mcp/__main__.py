"""Serves the MCP server over stdio: `python -m chatkit_engine.features.mcp APP`.

APP is the application's package, by default `app`.

It ends when its standard input does, and logs to standard error. It opens the database, but leaves
migrations to the application.
"""

import asyncio
import signal
import sys

from pydantic import ValidationError

from chatkit_engine.discovery import settings_class
from chatkit_engine.features.mcp.server import create_server
from chatkit_engine.features.mcp.settings import McpSettings
from chatkit_engine.features.mcp.users import user_of_call
from chatkit_engine.observability.logs import configure_logging, hide_secrets
from chatkit_engine.settings.base import settings_errors
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database


def main(app: str = "app") -> None:
    try:
        settings, own = settings_class(app)(), McpSettings()
        database = open_database(settings)
    except ValidationError as error:
        sys.exit("\n".join(settings_errors(error)))
    except OSError:
        sys.exit("DATABASE_URL: the folder cannot be created or written to. Choose another one.")
    configure_logging(settings)
    hide_secrets(own)
    # The default handler ends the process at once. Python's own would wait for the thread that
    # reads standard input, which waits for the next line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(app, settings, own, database))


async def _serve(app: str, settings: Settings, own: McpSettings, database: Database) -> None:
    server = create_server(app, database, user_of_call(settings, own.mcp_user))
    try:
        await server.run_stdio_async()
    finally:
        await database.aclose()


main(*sys.argv[1:2])
