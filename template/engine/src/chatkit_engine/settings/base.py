"""What all settings classes share: their sources, and how an error is explained."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class SetupError(ValueError):
    """The settings do not fit the application's hooks. The message says how to fix it."""


class SettingsBase(BaseSettings):
    """Settings from the environment, then `.env`, then the application's `defaults.toml`.

    Derive the settings of a feature or an application from it. Each field is an environment
    variable of the same name in capitals; an empty variable counts as unset.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        defaults = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, defaults


def settings_errors(error: ValidationError) -> list[str]:
    """Return one line for each invalid setting: its name and the fix, never its value."""
    return [_describe(problem["loc"], problem["msg"]) for problem in error.errors()]


def split_list(value: Any) -> Any:
    """Return the entries of a string that is a JSON list or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return from_json(value)
    return [entry for entry in (part.strip() for part in value.split(",")) if entry]


def _describe(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message
