"""`doctor`: checks the project, and says how to fix what is wrong."""

import os
import platform
import shutil
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from chatkit_engine import discovery
from chatkit_engine.application import Application
from chatkit_engine.manifest import changes
from chatkit_engine.models.registry import Models
from chatkit_engine.models.trial import why_silent
from chatkit_engine.observability.health import HealthStatus
from chatkit_engine.settings.base import SetupError, settings_errors, split_list
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.env_file import misspelt_variables, unread_names
from chatkit_engine.settings.providers import DEMO
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.migrate import UnknownRevision, pending
from chatkit_engine.store.private import readable_by_others
from chatkit_engine.terminal import Project

MIN_PYTHON = (3, 11)
DATABASE_ADVICE = "cannot be opened: check DATABASE_URL, for example sqlite:///data/chat.db"
UNTRACKED = ("--cached", "--others", "--exclude-standard")
CONFLICT = (
    *("--untracked", "-I", "--name-only", "--all-match"),
    *("-e", "^<<<<<<< ", "-e", "^=======$", "-e", "^>>>>>>> "),
)
MAX_NAMED = 10
# How long a model may take to answer; reasoning models think first.
MAX_SECONDS = 30
SHADOWED = ("agents", "chatkit", "openai", "mcp")


async def diagnose(project: Project, *, asks_model: bool) -> list[HealthStatus]:
    """Return the findings, in the order in which to fix them.

    With `asks_model`, each model is asked a question, because only its provider knows whether the
    key, the model's name and the URL are right.
    """
    findings = [_python(), _shadowing(), *_engine(), *_update()]
    try:
        settings = project.settings()
        application = Application(settings, project.app)
    except ValidationError as error:
        return [
            *findings,
            *(HealthStatus(name="settings", ok=False, detail=d) for d in settings_errors(error)),
            # A setting that is missing may stand there, misspelt.
            *_names(project.app, split_list(os.environ.get("ENV_IGNORE", ""))),
        ]
    except SetupError as error:
        lines = str(error).splitlines()
        return [*findings, *(HealthStatus(name="settings", ok=False, detail=d) for d in lines)]
    except OSError:
        return [*findings, HealthStatus(name="database", ok=False, detail=DATABASE_ADVICE)]
    findings += [
        *_names(project.app, settings.env_ignore),
        _settings(settings),
        _authentication(application),
    ]
    findings.append(await _model(application))
    if asks_model:
        findings += await _silent_models(application)
    return [*findings, await _database(application)]


def _python() -> HealthStatus:
    wanted = ".".join(map(str, MIN_PYTHON))
    ok = sys.version_info >= MIN_PYTHON
    detail = platform.python_version() if ok else f"install Python {wanted} or newer"
    return HealthStatus(name="python", ok=ok, detail=detail)


def _shadowing() -> HealthStatus:
    """Check for the user's own modules with the name of a package that the engine imports."""
    names = [name for name in SHADOWED if Path(name).is_dir() or Path(f"{name}.py").is_file()]
    advice = f"rename your own {', '.join(names)}: it hides the package of that name"
    return HealthStatus(name="packages", ok=not names, detail=advice if names else "none is hidden")


def _engine() -> list[HealthStatus]:
    """Report edited files of the engine, because an update has to merge them."""
    changed = changes()
    return [HealthStatus(name="engine", ok=True, detail=str(changed))] if changed else []


def _update() -> list[HealthStatus]:
    """Report what an update left to be merged: conflict markers, and `.rej` files."""
    names = sorted({*_git("grep", *CONFLICT), *_git("ls-files", *UNTRACKED, "*.rej")})
    advice = f"merge what the update left in {', '.join(names[:MAX_NAMED])}"
    return [HealthStatus(name="update", ok=False, detail=advice)] if names else []


def _git(*arguments: str) -> list[str]:
    """Return the names that git lists. Without git or a repository there are none."""
    git = shutil.which("git")
    if git is None:
        return []
    command = [git, *arguments]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (git)
    return listed.stdout.splitlines()


def _settings(settings: Settings) -> HealthStatus:
    origins = ", ".join(settings.allowed_origins) or "none"
    detail = f"ENVIRONMENT={settings.environment}, allowed origins: {origins}"
    return HealthStatus(name="settings", ok=True, detail=detail)


def _names(app: str, ignored: list[str]) -> list[HealthStatus]:
    """Report variables that nothing reads, most of them misspelt."""
    for package in (discovery.ENGINE, app):
        discovery.feature_modules(package, "settings")
    unread, misspelt = (names(ignored) for names in (unread_names, misspelt_variables))
    return [
        HealthStatus(name="settings", ok=False, detail=f"{line} (ENV_IGNORE accepts others' names)")
        for line in (*unread, *misspelt)
    ]


def _authentication(application: Application) -> HealthStatus:
    modes = {
        "local": "AUTH_MODE=local, one user on this machine; set AUTH_MODE=jwt for more",
        "jwt": "AUTH_MODE=jwt, bearer tokens",
    }
    own = application.builder.authenticator
    detail = f"the application's {type(own).__name__}" if own else None
    detail = detail or modes[application.settings.auth_mode]
    return HealthStatus(name="authentication", ok=True, detail=detail)


async def _model(application: Application) -> HealthStatus:
    settings = application.settings
    model = application.create_model()
    await model.close()
    if application.builder.create_model is not None:
        return HealthStatus(name="model", ok=True, detail=model.notice or model.name)
    endpoints = [each for each in (settings.llm, settings.llm_fallback) if each]
    names = [f"{each.model} at {urlsplit(each.url).hostname}" for each in endpoints]
    detail = model.notice or ", fallback ".join(names)
    if missing := settings.llm_missing:
        detail += f" {settings.default_provider} needs {' and '.join(missing)}."
    return HealthStatus(name="model", ok=True, detail=detail)


async def _silent_models(application: Application) -> list[HealthStatus]:
    """Ask the model and its fallback, and report what does not answer. The demo is not asked."""
    settings, create = application.settings, application.builder.create_model
    if create is not None:
        own = create(settings)
        asked, close = {own.name: own.model}, own.close
    elif settings.llm.provider is DEMO:
        return []
    else:
        models = Models(settings)
        endpoints = [each for each in (settings.llm, settings.llm_fallback) if each]
        asked = {each.model or "": models.guarded(each) for each in endpoints}
        close = models.close
    seconds = min(settings.llm_timeout_seconds, MAX_SECONDS)
    try:
        silent = {name: await why_silent(model, seconds) for name, model in asked.items()}
    finally:
        await close()
    return [
        HealthStatus(name="model", ok=False, detail=f"{name}: {why}")
        for name, why in silent.items()
        if why
    ]


def _open_to_others(application: Application) -> str:
    file = application.database.file
    if file is None or not readable_by_others(file):
        return ""
    return f", but every user of this machine may read it: run `chmod 600 {file}*`"


async def _database(application: Application) -> HealthStatus:
    try:
        async with aclosing(application.database) as database:
            waiting = await pending(database, application.migrations)
    except UnknownRevision as error:
        return HealthStatus(name="database", ok=False, detail=str(error))
    except DatabaseUnavailable as error:
        return HealthStatus(name="database", ok=False, detail=error.cause.fix)
    except (SQLAlchemyError, OSError):
        return HealthStatus(name="database", ok=False, detail=DATABASE_ADVICE)
    if not waiting:
        return HealthStatus(
            name="database", ok=True, detail=f"up to date{_open_to_others(application)}"
        )
    production = application.settings.is_production
    how = "run `migrate` for" if production else "the next start will apply"
    return HealthStatus(name="database", ok=not production, detail=f"{how} {', '.join(waiting)}")
