"""What all settings classes share: their sources, and how an error is explained."""

import re
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from chatkit_engine.settings.env_file import ENCODING, ENV_FILE, env_file_problem

JSON_FIELD = re.compile(r'field "(\w+)"')


class SetupError(ValueError):
    """The settings do not fit the application's hooks. The message says how to fix it."""


class SettingsBase(BaseSettings):
    """Settings from the environment, then `.env`, then the application's `defaults.toml`.

    Derive the settings of a feature or an application from it. Each field is an environment
    variable of the same name in capitals; an empty variable counts as unset.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    def __init__(self, **values: Any) -> None:
        """Read the settings; `values` override them.

        Raises:
            SetupError: a source cannot be read.
            ValidationError: a setting is missing or invalid; see `settings_errors`.
        """
        if problem := env_file_problem():
            raise SetupError(problem)
        try:
            super().__init__(**values)
        except SettingsError as error:
            field = JSON_FIELD.search(str(error))
            name = field[1].upper() if field else "a setting"
            raise SetupError(f"{name}: must be JSON") from None
        except (TOMLDecodeError, UnicodeDecodeError) as error:
            raise SetupError(f"defaults.toml is not valid TOML: {_place(error)}") from None
        except OSError:
            raise SetupError("defaults.toml cannot be read: check its rights") from None

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


def _place(error: ValueError) -> str:
    """Return where the error is, without the text that is there."""
    found = re.search(r"line \d+", str(error))
    return f"correct {found[0]}" if found else "save it as UTF-8, or restore it"


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
