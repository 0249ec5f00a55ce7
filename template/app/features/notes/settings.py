"""The notes' settings."""

from pydantic import Field

from chatkit_engine import SettingsBase


class NotesSettings(SettingsBase):
    """`NOTES_MAX_PER_USER`: the maximum number of notes of one user."""

    notes_max_per_user: int = Field(default=1000, ge=1)
