"""The commands for stored data: `migrate`, `move`, `export`, `erase` and `usage`."""

import sys
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from chatkit_engine.application import Application
from chatkit_engine.cli.application import load_application
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, Migrations, revise, upgrade
from chatkit_engine.store.private import create_private
from chatkit_engine.store.sqlite import SqliteDatabase
from chatkit_engine.store.transfer import transfer
from chatkit_engine.store.usage import ModelUsage, UsageTotal, summary, total
from chatkit_engine.store.user_data import erase_user, every_row, export_user
from chatkit_engine.terminal import explain_settings_errors, fail, project_of, run_async

commands = typer.Typer()

WIPE_HELP = (
    "Also rewrite the database's files, so that they no longer contain the deleted data. Locks the "
    "whole SQLite database, or one PostgreSQL table after the other, for roughly 30 seconds per GB."
)


@commands.command()
def migrate(
    ctx: typer.Context,
    revision: Annotated[
        str | None, typer.Option(help="Write a new revision with this message instead.")
    ] = None,
    of: Annotated[
        str | None, typer.Option(help="The chain that the revision belongs to; needed with it.")
    ] = None,
) -> None:
    """Apply all pending migrations: the core's and each feature's."""
    application = load_application(project_of(ctx))
    chains = {chain.name: chain for chain in application.migrations}
    if revision is not None and of is None:
        fail(f"Say with --of which chain the revision belongs to: {', '.join(chains)}.")
    if of is not None and of not in chains:
        fail(f"There is no chain '{of}'. Choose one of: {', '.join(chains)}.")
    typer.echo(run_async(_migrate(application, chains[of or CORE.name], revision)))


@commands.command()
def move(
    ctx: typer.Context,
    source: Annotated[str, typer.Option("--from", help="The SQLite database to copy from.")],
) -> None:
    """Copy everything from a SQLite database into the empty database at DATABASE_URL."""
    application = load_application(project_of(ctx))
    with explain_settings_errors():
        old = _sqlite_database(application, source)
    copied = run_async(_move(application, old))
    typer.echo("\n".join(f"{name}: {count}" for name, count in copied.items()))


@commands.command()
def export(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="User id.")],
    to: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.")
    ] = None,
) -> None:
    """Export all data of a user as JSON Lines."""
    application = load_application(project_of(ctx))
    try:
        with create_private(to) if to else nullcontext(sys.stdout.buffer) as output:
            run_async(_export(application, user, output))
    except OSError:
        fail("The file that --to names cannot be written.")


@commands.command()
def erase(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="User id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help=WIPE_HELP)] = False,
) -> None:
    """Delete all data of a user for good."""
    if not user:
        fail("--user must not be empty: documents without an owner are shared.")
    application = load_application(project_of(ctx))
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"Delete all data of '{user}' for good?", abort=True)
    erased = run_async(_erase(application, user, wipe=wipe))
    typer.echo("\n".join(f"{name}: {count}" for name, count in erased.items()) or "no data")


@commands.command()
def usage(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="User id.")],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, in UTC.")
    ] = None,
) -> None:
    """Print a user's requests, tokens and cost by model."""
    start = since.replace(tzinfo=UTC).timestamp() if since else None
    models = run_async(_usage(load_application(project_of(ctx)), user, start))
    lines = [_usage_line(each.model, each) for each in models]
    typer.echo("\n".join([*lines, _usage_line("total", total(models))]))


def _sqlite_database(application: Application, url: str) -> SqliteDatabase:
    try:
        database = open_database(application.settings, url)
    except ValueError as error:
        fail(f"--from {error}")
    if not isinstance(database, SqliteDatabase) or not (database.file and database.file.exists()):
        fail(
            "--from must be the URL of an existing SQLite database, such as sqlite:///data/chat.db"
        )
    return database


async def _move(application: Application, source: Database) -> dict[str, int]:
    async with aclosing(application.database) as target, aclosing(source):
        return await transfer(source, target, application.migrations)


async def _export(application: Application, user: str, output: BinaryIO) -> None:
    async with aclosing(application.database) as database, aclosing(application.blobs) as blobs:
        async for line in await export_user(database, blobs, user, every_row):
            output.write(line)


async def _erase(application: Application, user: str, *, wipe: bool) -> dict[str, int]:
    async with aclosing(application.database) as database, aclosing(application.blobs) as blobs:
        erasers = application.builder.erasers
        return await erase_user(database, blobs, user, erasers, wipe=wipe)


async def _migrate(application: Application, chain: Migrations, revision: str | None) -> str:
    async with aclosing(application.database) as database:
        if revision is not None:
            return str(await revise(database, chain, revision))
        applied = await upgrade(database, application.migrations)
    return "\n".join(f"applied {name}" for name in applied) or "up to date"


async def _usage(application: Application, user: str, start: float | None) -> list[ModelUsage]:
    async with aclosing(application.database) as database:
        return await database.read(summary, user, since=start)


def _usage_line(name: str, usage: UsageTotal) -> str:
    cost = "cost unknown" if usage.cost is None else f"${usage.cost:.4f}"
    return (
        f"{name}: requests {usage.requests}, input tokens {usage.input_tokens} "
        f"(cached {usage.cached_tokens}), output tokens {usage.output_tokens}, {cost}"
    )
