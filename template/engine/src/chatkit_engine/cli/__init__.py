"""The command line: `main` is the entry point of a project's command."""

import os
import sys

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main(app: str = "app") -> None:
    """Run the command line of an application's package.

    LOG_LEVEL is checked first, because the Agents SDK reads it when it is imported.
    """
    level = os.environ.get("LOG_LEVEL", "").upper()
    if level and level not in LEVELS:
        sys.exit(f"LOG_LEVEL: must be one of {', '.join(LEVELS)}")
    if level:
        os.environ["LOG_LEVEL"] = level

    from chatkit_engine.cli.commands import create_cli  # noqa: PLC0415

    create_cli(app)()
