"""Adds the notes to the application: table, routes, tools, widgets and entities."""

from pathlib import Path

from app.features.notes import drafts, widgets
from app.features.notes.entities import NoteEntities
from app.features.notes.routes import create_router
from app.features.notes.service import Notes
from app.features.notes.settings import NotesSettings
from app.features.notes.tables import metadata
from app.features.notes.tools import create_tools
from chatkit_engine import Builder, Migrations


def install(builder: Builder) -> None:
    notes = Notes(builder.database, NotesSettings())
    versions = Path(__file__).parent / "migrations" / "versions"
    builder.add_migrations(Migrations("notes", versions, metadata))
    builder.add_router(create_router(notes))
    builder.add_tools(*create_tools(notes))
    builder.add_actions(*widgets.create_actions(notes), *drafts.create_actions(notes))
    builder.add_entities(NoteEntities(notes))
