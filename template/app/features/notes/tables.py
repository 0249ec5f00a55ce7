"""The table of notes, with metadata and migrations of its own."""

from sqlalchemy import Boolean, Column, Double, Index, MetaData, Table, Text, false

from chatkit_engine import Sequence, database_now

metadata = MetaData()

notes = Table(
    "notes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("user_id", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("created_at", Double, nullable=False, default=database_now()),
    sqlite_autoincrement=True,
)

Index("ix_notes_user", notes.c.user_id, notes.c.seq)
