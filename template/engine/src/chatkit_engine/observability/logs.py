"""One log for the application and its libraries: readable in development, JSON in production."""

import logging
import logging.config
import re
from collections.abc import Iterator
from typing import Any, cast

import structlog
from pydantic import BaseModel, SecretStr

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import parse_database_url

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

MIN_PASSWORD = 8
QUIET = dict.fromkeys(("httpx", "httpx2", "openai", "alembic", "chatkit"), "WARNING")
PRIVATE = re.compile(r"([?&](?:token|q)=)[^\s&\"]+")


def configure_logging(settings: Settings, level: str | None = None) -> None:
    """Send every log to standard error, from `level` on: the settings' where none is given."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"log": {"()": _formatter, "settings": settings}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "log"}},
            "root": {"handlers": ["stderr"], "level": level or settings.log_level},
            "loggers": {name: {"level": level} for name, level in QUIET.items()},
        }
    )


def hide_secrets(settings: BaseModel) -> None:
    """Blot out a feature's secrets too, from now on. Short values would blot out other words."""
    secrets = [secret for secret in _secrets_in(settings) if len(secret) >= MIN_PASSWORD]
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.secrets += secrets


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Blots out the settings' secrets, which a provider's error may repeat, and links' tokens."""

    def __init__(self, secrets: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return PRIVATE.sub(r"\1***", text)


def _secrets(settings: Settings) -> list[str]:
    password = parse_database_url(settings.database_url).password or ""
    return [*_secrets_in(settings), *([password] if len(password) >= MIN_PASSWORD else [])]


def _secrets_in(value: object) -> Iterator[str]:
    """Yield the secrets in settings, however deep they are."""
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            yield from _secrets_in(
                {name: getattr(value, name) for name in type(value).model_fields}
            )
        case dict():
            for each in cast(dict[str, object], value).values():
                yield from _secrets_in(each)
        case _:
            return


def _formatter(settings: Settings) -> logging.Formatter:
    """Tracebacks are written without local variables: those hold keys and users' texts."""
    renderers: list[Any] = [
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    ]
    if settings.is_production:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return RedactingFormatter(
        _secrets(settings),
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
