"""Logging for the application and its libraries: text in development, JSON in production."""

import logging
import logging.config
import os
import sys
import threading
from typing import Any

import structlog
from pydantic import BaseModel

from chatkit_engine.observability.redaction import (
    Redactor,
    redact_query,
    secrets_in,
    secrets_of_environment,
)
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.env_file import read_env_file

log = structlog.stdlib.get_logger(__name__)

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

# Most of these log each request at INFO. The lines that dotenv cannot parse are named elsewhere.
LIBRARY_LEVELS = {
    **dict[str, str].fromkeys(("httpx", "httpx2", "openai", "alembic", "chatkit"), "WARNING"),
    "dotenv": "ERROR",
}
# With `uvicorn app.main:app`, uvicorn has set up its own handlers before the application is loaded.
UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access")

# What all output of this process is redacted by. A new configuration has new secrets.
redactor = Redactor()


def configure_logging(settings: Settings, level: str | None = None) -> None:
    """Send all logs of at least `level` to standard error. Default: the settings' `log_level`."""
    redactor.reset([*secrets_in(settings), *secrets_of_environment()])
    structlog.configure(
        processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    levels = {name: {"level": level} for name, level in LIBRARY_LEVELS.items()}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"log": {"()": _formatter, "settings": settings}},
            "filters": {
                "told": {"()": lambda: _is_not_told_elsewhere},
                "query": {"()": lambda: _with_redacted_query},
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "log"}},
            "root": {"handlers": ["stderr"], "level": level or settings.log_level},
            "loggers": levels
            | {name: {"handlers": [], "propagate": True} for name in UVICORN_LOGGERS}
            | {"uvicorn.access": {"handlers": [], "propagate": True, "filters": ["query"]}}
            | {"openai.agents": {"filters": ["told"]}},
        }
    )
    logging.captureWarnings(settings.is_production)


def _is_not_told_elsewhere(record: logging.LogRecord) -> bool:
    """Drop the Agents SDK's lines on a failed request: `assistant/failures.py` logs the cause."""
    return not record.getMessage().startswith(
        ("Error streaming response", "Error getting response")
    )


def _with_redacted_query(record: logging.LogRecord) -> bool:
    """Redact the query in a line of the access log, whose third argument is the path with it."""
    if isinstance(record.args, tuple):
        record.args = tuple(_redacted_path(each) for each in record.args)
    return True


def _redacted_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    path, mark, query = value.partition("?")
    return path + mark + redact_query(query)


def log_early(level: str | None = None) -> None:
    """Set up logging before the settings are read, because reading them may fail.

    Only the environment and `.env` say then whether this is production. What ends the process or a
    thread is logged, too.
    """
    named = os.environ.get("ENVIRONMENT") or read_env_file().get("ENVIRONMENT", "")
    production = named.strip() == "production"
    settings = Settings.model_construct(environment="production" if production else "development")
    configure_logging(settings, level)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("the process ends", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    error = arguments.exc_value
    if error is not None:
        log.critical("a thread ends", exc_info=(arguments.exc_type, error, arguments.exc_traceback))


def hide_secrets(settings: BaseModel) -> None:
    """Redact the secrets in a feature's settings, too, except those under 8 characters."""
    redactor.add(secrets_in(settings))


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts links' tokens and the settings' secrets, which a provider's error may contain."""

    def format(self, record: logging.LogRecord) -> str:
        return redactor(super().format(record))


def _formatter(settings: Settings) -> logging.Formatter:
    # Not structlog's default traceback: that prints local variables, with keys and users' texts.
    renderers: list[Any] = [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]
    if settings.is_production:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return RedactingFormatter(
        foreign_pre_chain=SHARED_PROCESSORS,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
