"""Notes: a user's own short texts, over REST and as tools of the assistant."""

from pathlib import Path

from app.builder import Builder
from app.features.notes.routes import router
from app.features.notes.tables import metadata
from app.features.notes.tools import add_note, list_notes
from app.store.migrate import Migrations


def install(builder: Builder) -> None:
    versions = Path(__file__).parent / "migrations" / "versions"
    builder.add_migrations(Migrations("notes", versions, metadata))
    builder.add_router(router)
    builder.add_tools(add_note, list_notes)
