"""The command line with the commands `serve`, `chat`, `doctor` and `token`."""

from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

import structlog
import typer

from chatkit_engine import discovery
from chatkit_engine.application import Application, create_app
from chatkit_engine.cli import data
from chatkit_engine.cli.application import load_application
from chatkit_engine.cli.conversation import converse
from chatkit_engine.cli.doctor import diagnose
from chatkit_engine.cli.serving import check_address, log_failure, run_server, run_with_reload
from chatkit_engine.observability.logs import configure_logging, log_early, redactor
from chatkit_engine.security.authentication import is_usable_subject, issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.env_file import misspelt_variables, unread_names
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.migrate import pending
from chatkit_engine.terminal import Project, explain_settings_errors, fail, project_of, run_async

log = structlog.stdlib.get_logger(__name__)
MAX_HOURS = 24 * 365 * 10
commands = typer.Typer()


def create_cli(app: str) -> typer.Typer:
    """Return the command line of the application in the package `app`, with its own commands."""
    cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @cli.callback()
    def describe(ctx: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
        """A self-hosted ChatKit backend. Settings come from the environment and .env."""
        ctx.obj = Project(app)
        log_early(None if ctx.invoked_subcommand == "serve" else "CRITICAL")

    cli.add_typer(commands)
    cli.add_typer(data.commands)
    for package in (discovery.ENGINE, app):
        for module in discovery.feature_modules(package, "commands").values():
            cli.add_typer(module.commands)
    if app_commands := discovery.optional_module(f"{app}.commands"):
        cli.add_typer(app_commands.commands)
    return cli


@commands.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PORT].")] = None,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
) -> None:
    """Serve the chat over HTTP."""
    options: dict[str, Any] = {"host": host, "port": port}
    with explain_settings_errors(log_failure):
        project = project_of(ctx)
        settings = project.settings(
            **{name: value for name, value in options.items() if value is not None}
        )
        configure_logging(settings)
        application = Application(settings, project.app)
        _warn_of_names(settings)
        run_async(_prepare_database(application), log_failure)
        api = create_app(settings, project.app)
    check_address(settings)
    if reload:
        run_with_reload(settings, project.app)
    else:
        run_server(api, settings)


@commands.command()
def chat(
    ctx: typer.Context,
    message: Annotated[str, typer.Argument(help="The message to send.")],
    thread: Annotated[
        str | None, typer.Option(help="The thread to continue. Default: the newest one.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Start a new thread.")] = False,
    user: Annotated[str, typer.Option(help="User id to chat as.")] = "local",
) -> None:
    """Send a message and print the answer as it is written."""
    _check_text(message, thread or "", user)
    application = load_application(project_of(ctx))
    answered = run_async(converse(application, message, user, thread, new=new))
    raise typer.Exit(0 if answered else 1)


@commands.command()
def doctor(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the model.")] = False,
) -> None:
    """Check the settings, the model and the database; say how to fix what is wrong."""
    findings = run_async(diagnose(project_of(ctx), asks_model=not offline))
    for finding in findings:
        line = f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}"
        typer.echo(redactor(line))
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@commands.command()
def token(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="User id that the token is for.")],
    hours: Annotated[
        float, typer.Option(min=0.01, max=MAX_HOURS, help="Hours until the token expires.")
    ] = 24,
) -> None:
    """Print a bearer token for AUTH_MODE=jwt."""
    with explain_settings_errors():
        settings = project_of(ctx).settings()
    if settings.jwt_secret is None:
        fail("JWT_SECRET is not set. Run `openssl rand -hex 32` and set it.")
    if not is_usable_subject(user):
        fail("--user must have 1 to 255 printable characters.")
    typer.echo(issue_token(settings, user, timedelta(hours=hours)))


def _warn_of_names(settings: Settings) -> None:
    for problem in (*unread_names(settings.env_ignore), *misspelt_variables(settings.env_ignore)):
        log.warning(problem)


async def _prepare_database(application: Application) -> None:
    async with aclosing(application.database) as database:
        try:
            waiting = await pending(database, application.migrations)
            await application.migrate()
        except DatabaseUnavailable:
            # The log has the cause already.
            raise typer.Exit(1) from None
    if waiting and application.settings.is_production:
        log_failure(f"The database is not migrated: run `migrate`. Pending: {', '.join(waiting)}.")


def _check_text(*texts: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        fail("The message, the thread and the user must be valid UTF-8.")
