"""The command line: serve, chat, doctor, migrate, token."""

import os
import sys

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main() -> None:
    """Run the command. The SDK reads LOG_LEVEL when it is imported, so it is checked before."""
    level = os.environ.get("LOG_LEVEL", "").upper()
    if level and level not in LEVELS:
        sys.exit(f"LOG_LEVEL: must be one of {', '.join(LEVELS)}")
    if level:
        os.environ["LOG_LEVEL"] = level

    from app.cli.main import cli  # noqa: PLC0415 (after the check)

    cli()
