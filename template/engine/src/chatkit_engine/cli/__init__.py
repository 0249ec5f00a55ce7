"""The command line. `main` is the entry point of a project's command."""

import os
import sys

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main(app: str = "app") -> None:
    """Run the command line of the application in the package `app`."""
    # Checked before the imports, because the Agents SDK reads LOG_LEVEL when it is imported.
    level = os.environ.get("LOG_LEVEL", "").upper()
    if level and level not in LEVELS:
        sys.exit(f"LOG_LEVEL: must be one of {', '.join(LEVELS)}")
    if level:
        os.environ["LOG_LEVEL"] = level

    from chatkit_engine.observability.logs import log_early  # noqa: PLC0415

    # Before the commands, because importing the application may fail.
    log_early("CRITICAL")
    from chatkit_engine.cli.commands import create_cli  # noqa: PLC0415

    create_cli(app)()
