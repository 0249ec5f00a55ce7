"""Retrieval: documents that are ingested, searched by a tool, and cited."""

from pathlib import Path

from app.builder import Builder
from app.features.rag.tables import metadata
from app.store.migrate import Migrations

MIGRATIONS = Migrations("rag", Path(__file__).parent / "migrations" / "versions", metadata)


def install(builder: Builder) -> None:
    builder.add_migrations(MIGRATIONS)
