"""Notes: a user's own short texts, over REST and as tools of the assistant."""

from pathlib import Path

from app.builder import Builder
from app.features.notes.routes import create_router
from app.features.notes.service import Notes
from app.features.notes.settings import NotesSettings
from app.features.notes.tables import metadata
from app.features.notes.tools import create_tools
from app.store.migrate import Migrations


def install(builder: Builder) -> None:
    notes = Notes(builder.database, NotesSettings())
    versions = Path(__file__).parent / "migrations" / "versions"
    builder.add_migrations(Migrations("notes", versions, metadata))
    builder.add_router(create_router(notes))
    builder.add_tools(*create_tools(notes))
