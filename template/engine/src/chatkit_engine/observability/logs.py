"""Logging for the application and its libraries: text in development, JSON in production."""

import logging
import logging.config
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_plus

import structlog
from pydantic import BaseModel, SecretStr

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import parse_database_url

log = structlog.stdlib.get_logger(__name__)

ENVIRONMENT_LINE = re.compile(r"^\s*(?:export\s+)?ENVIRONMENT\s*=\s*(\S+)", re.MULTILINE)
SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

# A shorter secret would also replace ordinary words.
MIN_SECRET = 8
# These libraries log each request at INFO.
LIBRARY_LEVELS = dict.fromkeys(("httpx", "httpx2", "openai", "alembic", "chatkit"), "WARNING")
# In URLs: the tokens of links, the words of searches, and what other services call their secrets.
PARAMETER = re.compile(r"""([?&;])([^\s?&;="'<>\\]+)=([^\s&;"'<>\\]+)""")
PRIVATE_PARAMETERS = frozenset(
    (
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "q",
        "key",
        "api_key",
        "apikey",
        "api-key",
        "code",
        "secret",
        "client_secret",
        "password",
        "passwd",
        "sig",
        "signature",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-credential",
        "authorization",
        "jwt",
        "session",
    )
)
CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[\w.~+/=-]{8,}")


def configure_logging(settings: Settings, level: str | None = None) -> None:
    """Send all logs of at least `level` to standard error. Default: the settings' `log_level`."""
    structlog.configure(
        processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
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
            "loggers": {name: {"level": level} for name, level in LIBRARY_LEVELS.items()},
        }
    )


def log_early() -> None:
    """Set up logging before the settings are read, because reading them may fail.

    Only the environment and `.env` say then whether this is production.
    """
    named = os.environ.get("ENVIRONMENT") or _environment_in(Path(".env"))
    production = named.strip("\"' ") == "production"
    settings = Settings.model_construct(environment="production" if production else "development")
    configure_logging(settings)
    sys.excepthook = _log_uncaught


def _environment_in(file: Path) -> str:
    # Not parsed: a file that cannot be read is one of the failures that are logged.
    with suppress(OSError):
        found = ENVIRONMENT_LINE.search(file.read_text(errors="replace"))
        return found[1] if found else ""
    return ""


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    log.critical("the process ends", exc_info=(kind, error, trace))


def hide_secrets(settings: BaseModel) -> None:
    """Redact the secrets in a feature's settings, too, except those under 8 characters."""
    secrets = [secret for secret in _secrets_in(settings) if len(secret) >= MIN_SECRET]
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.secrets += secrets


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts links' tokens and the settings' secrets, which a provider's error may contain."""

    def __init__(self, secrets: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return redact_urls(text)


def redact_urls(text: str) -> str:
    """Redact private parameters of URLs, and credentials in headers.

    A name counts as the server reads it: percent-decoded. Its case does not matter.
    """
    return CREDENTIALS.sub(r"\1 ***", PARAMETER.sub(_redact_parameter, text))


def _redact_parameter(match: re.Match[str]) -> str:
    separator, name, _value = match.groups()
    if unquote_plus(name).lower() not in PRIVATE_PARAMETERS:
        return match.group()
    return f"{separator}{name}=***"


def _formatter(settings: Settings) -> logging.Formatter:
    # Not structlog's default traceback: that prints local variables, with keys and users' texts.
    renderers: list[Any] = [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]
    if settings.is_production:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    password = parse_database_url(settings.database_url).password or ""
    return RedactingFormatter(
        [*_secrets_in(settings), *([password] if len(password) >= MIN_SECRET else [])],
        foreign_pre_chain=SHARED_PROCESSORS,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _secrets_in(value: object) -> Iterator[str]:
    """Yield the secrets in settings, at any depth."""
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
