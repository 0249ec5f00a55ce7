"""`doctor`: what is missing or wrong, by name, and the fix."""

import platform
import sys
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.composition import Application
from app.http.health import Check
from app.providers import create_model
from app.settings import Settings, explain
from app.store.engine import DatabaseUnavailable
from app.store.migrate import UnknownRevision, pending

MIN_PYTHON = (3, 11)
DATABASE_ADVICE = "cannot be opened: check DATABASE_URL, such as sqlite:///data/chat.db"
SHADOWING = ("agents", "chatkit", "openai", "mcp")


async def diagnose() -> list[Check]:
    """Return the findings, in the order in which to mend them."""
    findings = [_python(), _shadowing()]
    try:
        settings = Settings()
        application = Application(settings)
    except ValidationError as error:
        return [*findings, *(Check(name="settings", ok=False, detail=d) for d in explain(error))]
    except OSError:
        return [*findings, Check(name="database", ok=False, detail=DATABASE_ADVICE)]
    findings += [_settings(settings), _authentication(settings), await _model(settings)]
    return [*findings, await _database(application)]


def _python() -> Check:
    wanted = ".".join(map(str, MIN_PYTHON))
    ok = sys.version_info >= MIN_PYTHON
    detail = platform.python_version() if ok else f"install Python {wanted} or newer"
    return Check(name="python", ok=ok, detail=detail)


def _shadowing() -> Check:
    names = [name for name in SHADOWING if Path(name).is_dir() or Path(f"{name}.py").is_file()]
    advice = f"rename your own {', '.join(names)}: it hides the SDK of that name"
    return Check(name="packages", ok=not names, detail=advice if names else "none is hidden")


def _settings(settings: Settings) -> Check:
    origins = ", ".join(settings.allowed_origins) or "none"
    detail = f"ENVIRONMENT={settings.environment}, allowed origins: {origins}"
    return Check(name="settings", ok=True, detail=detail)


def _authentication(settings: Settings) -> Check:
    modes = {
        "local": "AUTH_MODE=local, one user on this machine; AUTH_MODE=jwt for more",
        "jwt": "AUTH_MODE=jwt, bearer tokens",
    }
    return Check(name="authentication", ok=True, detail=modes[settings.auth_mode])


async def _model(settings: Settings) -> Check:
    model = create_model(settings)
    await model.close()
    detail = model.notice or _described(settings)
    if wanted := settings.llm_wanted:
        detail += f" {settings.default_provider} needs {' and '.join(wanted)}."
    return Check(name="model", ok=True, detail=detail)


def _described(settings: Settings) -> str:
    models = [settings.llm, settings.llm_fallback]
    names = [f"{each.model} at {urlsplit(each.url).hostname}" for each in models if each]
    return ", and else ".join(names)


async def _database(application: Application) -> Check:
    try:
        async with aclosing(application.database) as database:
            waiting = await pending(database, application.migrations)
    except UnknownRevision as error:
        return Check(name="database", ok=False, detail=str(error))
    except (DatabaseUnavailable, SQLAlchemyError, OSError):
        return Check(name="database", ok=False, detail=DATABASE_ADVICE)
    if not waiting:
        return Check(name="database", ok=True, detail="up to date")
    production = application.settings.is_production
    how = "run `migrate` for" if production else "the next start will apply"
    return Check(name="database", ok=not production, detail=f"{how} {', '.join(waiting)}")
