"""`python -m app.features.mcp`: the server over stdio. It ends when its standard input does.

It opens the database and leaves migrations to the application. Its log goes to standard error.
"""

import asyncio
import signal
import sys

from pydantic import ValidationError

from app.features.mcp.server import create_server
from app.features.mcp.settings import McpSettings
from app.features.mcp.users import user_of_call
from app.observability.logs import configure_logging, hide_secrets
from app.settings import Settings, explain
from app.store.databases import open_database
from app.store.engine import Database


def main() -> None:
    try:
        settings, own = Settings(), McpSettings()
        database = open_database(settings)
    except ValidationError as error:
        sys.exit("\n".join(explain(error)))
    except OSError:
        sys.exit("DATABASE_URL: its folder cannot be made or written. Name another.")
    configure_logging(settings)
    hide_secrets(own)
    # Python would wait for the thread that reads the input, and that for its next line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(settings, own, database))


async def _serve(settings: Settings, own: McpSettings, database: Database) -> None:
    server = create_server(database, user_of_call(settings, own.mcp_user))
    try:
        await server.run_stdio_async()
    finally:
        await database.aclose()


main()
