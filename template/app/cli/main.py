"""The commands. Each reads the settings, and does its work elsewhere."""

from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.cli import data, usage
from app.cli.conversation import converse
from app.cli.doctor import diagnose
from app.cli.server import run_server, run_with_reload
from app.cli.support import load_application
from app.composition import Application, create_app
from app.features import discover_commands
from app.observability.logs import configure_logging
from app.security.tokens import is_usable_subject, issue_token
from app.settings import Settings
from app.store.migrate import pending
from app.terminal import explained, fail, run

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

MAX_HOURS = 24 * 365 * 10

cli.add_typer(data.commands)
cli.add_typer(usage.commands)
for commands in discover_commands():
    cli.add_typer(commands)


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
    with explained():
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        run(_prepare_database(Application(settings)))
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
    application = load_application()
    answered = run(converse(application, message, user, thread, new=new))
    raise typer.Exit(0 if answered else 1)


@cli.command()
def doctor() -> None:
    """Name each missing or wrong setting, and what to do about it."""
    configure_logging(Settings.model_construct(), "CRITICAL")
    findings = run(diagnose())
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@cli.command()
def token(
    user: Annotated[str, typer.Option(help="The user the token is for.")],
    hours: Annotated[
        float, typer.Option(min=0.01, max=MAX_HOURS, help="How long it is valid.")
    ] = 24,
) -> None:
    """Print a bearer token for AUTH_MODE=jwt."""
    with explained():
        settings = Settings()
    if settings.jwt_secret is None:
        fail("JWT_SECRET is not set. Run `openssl rand -hex 32` and set it.")
    if not is_usable_subject(user):
        fail("--user must have from 1 to 255 printable characters.")
    typer.echo(issue_token(settings, user, timedelta(hours=hours)))


async def _prepare_database(application: Application) -> None:
    async with aclosing(application.database) as database:
        await pending(database, application.migrations)
        await application.migrate()


def _check_text(*texts: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        fail("The message, thread and user must be valid text.")
