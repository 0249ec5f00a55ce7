"""The file `.env`: how it is read, and the names in it that nothing reads."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

ENV_FILE = Path(".env")
# Editors on Windows begin a file with a byte-order mark, which would be part of the first name.
ENCODING = "utf-8-sig"

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")
CLOSE = 0.75
# The environment has variables of others, so only those that are nearly ours are named.
VERY_CLOSE = 0.88
MIN_COMPARED = 8

# What else reads variables: SDKs, Python, and the tools that start the server with `.env`.
OTHERS = (
    *("OTEL_*", "AWS_*", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_*"),
    *("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET", "OPENAI_LOG"),
    *("OPENAI_AGENTS_*", "OPENAI_DEFAULT_MODEL", "OPENAI_TELEMETRY", "FASTMCP_*", "REQUESTS_CA_*"),
    *("ENV_IGNORE", "COMPOSE_*", "DOCKER_*", "POSTGRES_*", "PG*", "UV_*", "PYTHON*", "VIRTUAL_ENV"),
    *("UVICORN_*", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS"),
    *("PATH", "HOME", "USER", "TZ", "LANG", "LC_*", "NO_COLOR", "FORCE_COLOR", "TMPDIR"),
)
# What other projects call our settings.
SYNONYMS = {
    "ENV": "ENVIRONMENT",
    "APP_ENV": "ENVIRONMENT",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "GOOGLE_API_KEY": "GEMINI_API_KEY",
    "SECRET_KEY": "JWT_SECRET",
    "DB_URL": "DATABASE_URL",
    "CORS_ORIGINS": "ALLOWED_ORIGINS",
    "MODEL": "LLM_MODEL",
    "PROVIDER": "LLM_PROVIDER",
    "DEBUG": "LOG_LEVEL",
}


def read_env_file() -> dict[str, str]:
    """Return the variables in `.env`; empty if it cannot be read."""
    return {each.key: each.value for each in _lines() if each.key and each.value is not None}


def env_file_problem() -> str:
    """Return why `.env` cannot be read, and the fix, or an empty string."""
    try:
        text = ENV_FILE.read_text(ENCODING) if ENV_FILE.is_file() else ""
    except UnicodeDecodeError:
        return ".env is not UTF-8: save it with this encoding, for example in your editor"
    except OSError:
        return ".env cannot be read: check its rights"
    if "\0" in text:
        return ".env is not UTF-8: save it with this encoding, for example in your editor"
    return ""


def unread_names(ignored: Iterable[str]) -> list[str]:
    """Return a line for each name in `.env` that nothing reads, with the one that was meant.

    Call it when all settings classes are imported. `ignored` may contain `*`. A value is never
    repeated, and a line without a name may be a part of one.
    """
    known = set(known_names())
    patterns = (*OTHERS, *(each.upper() for each in ignored))
    problems: list[str] = []
    for line in _lines():
        name = (line.key or "").upper()
        if line.error or (line.key and (line.value is None or not NAME.fullmatch(name))):
            problems.append(f".env, line {_number(line)}: must be NAME=value")
        elif name and name not in known and not _is_in(name, patterns):
            problems.append(f".env: nothing reads {name}{_advice(name, known, CLOSE)}")
    return problems


def misspelt_variables(ignored: Iterable[str]) -> list[str]:
    """Return a line for each variable of the environment whose name is almost a setting's."""
    known = set(known_names())
    patterns = (*OTHERS, *(each.upper() for each in ignored))
    return [
        f"nothing reads the variable {name}{advice}"
        for name in sorted(os.environ)
        if name not in known and NAME.fullmatch(name) and not _is_in(name, patterns)
        if (advice := _advice(name, known, VERY_CLOSE))
    ]


def known_names() -> Iterator[str]:
    """Yield the names of the variables that the imported settings classes read."""
    for settings in _subclasses(BaseSettings):
        prefix = settings.model_config.get("env_prefix", "")
        for name, field in settings.model_fields.items():
            alias = field.validation_alias
            choices = alias.choices if isinstance(alias, AliasChoices) else [alias or prefix + name]
            yield from (str(choice).upper() for choice in choices)


def _subclasses(kind: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _lines() -> list[Binding]:
    with suppress(OSError):
        if ENV_FILE.is_file():
            return list(parse_stream(StringIO(ENV_FILE.read_text(ENCODING, "replace"))))
    return []


def _number(line: Binding) -> int:
    """Return the number of a line. What the parser calls one may begin with empty lines."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _is_in(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _advice(name: str, known: set[str], cutoff: float) -> str:
    meant = _meant(name, known, cutoff)
    return f": did you mean {meant}?" if meant else ""


def _meant(name: str, known: set[str], cutoff: float) -> str | None:
    """Return the setting that a name resembles."""
    joined = {each.replace("_", ""): each for each in known}
    if found := joined.get(name.replace("_", "")):
        return found
    if cutoff < VERY_CLOSE and name in SYNONYMS:
        return SYNONYMS[name]
    candidates = known if len(name) >= MIN_COMPARED or cutoff < VERY_CLOSE else ()
    return next(iter(get_close_matches(name, candidates, 1, cutoff)), None)
