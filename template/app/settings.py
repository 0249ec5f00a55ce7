"""The project's settings: the engine's, and your own.

Each field is an environment variable of the same name in capitals. A value comes from the
environment, else from `.env`, else from `defaults.toml`, else from here.
"""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

import chatkit_engine


class Settings(chatkit_engine.Settings):
    """Add a field for each setting of your own, and a line for it in `.env.example`."""

    model_config = SettingsConfigDict(toml_file=Path(__file__).with_name("defaults.toml"))
