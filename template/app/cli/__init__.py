"""The command line: serve, chat, doctor, migrate, token."""

from app.cli.main import main

__all__ = ["main"]
