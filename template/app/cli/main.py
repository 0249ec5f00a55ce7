"""The commands. Each reads the settings, and does its work elsewhere."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from chatkit.store import NotFoundError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.cli.conversation import converse
from app.cli.doctor import diagnose
from app.cli.server import run_server, run_with_reload
from app.composition import Application, create_app
from app.errors import AppError
from app.observability.logs import configure_logging
from app.security.tokens import is_usable_subject, issue_token
from app.settings import Settings, explain
from app.store.migrate import Migrations, UnknownRevision, pending, revise, upgrade

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

MAX_HOURS = 24 * 365 * 10

T = TypeVar("T")


@cli.callback()
def describe() -> None:
    """A self-hosted ChatKit backend. Settings come from the environment and .env."""


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PORT].")] = None,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
) -> None:
    """Serve the chat over HTTP."""
    given: dict[str, Any] = {"host": host, "port": port}
    with _explained():
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        _run(_check_database(Application(settings)))
        app = create_app(settings)
    if reload:
        run_with_reload(settings)
    else:
        run_server(app, settings)


@cli.command()
def chat(
    message: Annotated[str, typer.Argument(help="What to say.")],
    thread: Annotated[str | None, typer.Option(help="The thread to go on with.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Open a new thread.")] = False,
    user: Annotated[str, typer.Option(help="Whom to speak as.")] = "local",
) -> None:
    """Say something and read the answer as it comes. Goes on with the newest thread."""
    _check_text(message, thread or "", user)
    application = _application()
    answered = _run(converse(application, message, user, thread, new=new))
    raise typer.Exit(0 if answered else 1)


@cli.command()
def doctor() -> None:
    """Name each missing or wrong setting, and what to do about it."""
    configure_logging(Settings.model_construct(), "CRITICAL")
    findings = _run(diagnose())
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@cli.command()
def migrate(
    revision: Annotated[
        str | None, typer.Option(help="Write a new revision with this message, apply none.")
    ] = None,
    of: Annotated[str, typer.Option(help="Whose tables the new revision is for.")] = "core",
) -> None:
    """Bring the database up to date: the core's tables and each feature's."""
    application = _application()
    chains = {chain.name: chain for chain in application.migrations}
    if of not in chains:
        _fail(f"'{of}' has no migrations. There are: {', '.join(chains)}.")
    typer.echo(_run(_migrate(application, chains[of], revision)))


@cli.command()
def token(
    user: Annotated[str, typer.Option(help="The user the token is for.")],
    hours: Annotated[
        float, typer.Option(min=0.01, max=MAX_HOURS, help="How long it is valid.")
    ] = 24,
) -> None:
    """Print a bearer token for AUTH_MODE=jwt."""
    with _explained():
        settings = Settings()
    if settings.jwt_secret is None:
        _fail("JWT_SECRET is not set. Run `openssl rand -hex 32` and set it.")
    if not is_usable_subject(user):
        _fail("--user must have from 1 to 255 printable characters.")
    typer.echo(issue_token(settings, user, timedelta(hours=hours)))


async def _check_database(application: Application) -> None:
    async with aclosing(application.database) as database:
        await pending(database, application.migrations)


def _check_text(*texts: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        _fail("The message, thread and user must be valid text.")


async def _migrate(application: Application, chain: Migrations, revision: str | None) -> str:
    async with aclosing(application.database) as database:
        if revision is not None:
            return str(await revise(database, chain, revision))
        applied = await upgrade(database, application.migrations)
    return "\n".join(f"applied {name}" for name in applied) or "up to date"


@contextmanager
def _explained() -> Generator[None]:
    """Name the settings that are wrong, and exit."""
    try:
        yield
    except ValidationError as error:
        _fail("\n".join(explain(error)))
    except OSError:
        _fail("DATABASE_URL: its folder cannot be made or written. Name another.")


def _application() -> Application:
    """Return the application with the terminal left to the answer.

    LOG_LEVEL=DEBUG shows what went wrong.
    """
    with _explained():
        settings = Settings()
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        return Application(settings)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except NotFoundError:
        _fail("This thread does not exist.")
    except (AppError, UnknownRevision) as error:
        _fail(str(error))
    except SQLAlchemyError:
        _fail("The database does not answer. Check DATABASE_URL; `doctor` says more.")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
