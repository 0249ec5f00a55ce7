"""The commands for what is stored: migrate and move it, and export or erase a user's."""

import sys
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from app.cli.support import load_application
from app.composition import Application
from app.store.databases import open_database
from app.store.engine import Database
from app.store.migrate import Migrations, revise, upgrade
from app.store.sqlite import SqliteDatabase
from app.store.transfer import transfer
from app.store.user_data import erase_user, every_row, export_user
from app.terminal import explained, fail, run

commands = typer.Typer()


@commands.command()
def migrate(
    revision: Annotated[
        str | None, typer.Option(help="Write a new revision with this message, apply none.")
    ] = None,
    of: Annotated[str, typer.Option(help="Whose tables the new revision is for.")] = "core",
) -> None:
    """Bring the database up to date: the core's tables and each feature's."""
    application = load_application()
    chains = {chain.name: chain for chain in application.migrations}
    if of not in chains:
        fail(f"'{of}' has no migrations. There are: {', '.join(chains)}.")
    typer.echo(run(_migrate(application, chains[of], revision)))


@commands.command()
def move(
    source: Annotated[str, typer.Option("--from", help="The SQLite database to copy from.")],
) -> None:
    """Copy everything from a SQLite database into the empty one at DATABASE_URL."""
    application = load_application()
    with explained():
        old = _sqlite_database(application, source)
    copied = run(_move(application, old))
    typer.echo("\n".join(f"{name}: {count}" for name, count in copied.items()))


@commands.command()
def export(
    user: Annotated[str, typer.Option(help="Whose data.")],
    to: Annotated[Path | None, typer.Option(help="The file to write; else the terminal.")] = None,
) -> None:
    """Write all that is kept of a user, as JSON Lines."""
    application = load_application()
    try:
        with to.open("wb") if to else nullcontext(sys.stdout.buffer) as output:
            run(_export(application, user, output))
    except OSError:
        fail("--to names a file that cannot be written.")


@commands.command()
def erase(
    user: Annotated[str, typer.Option(help="Whose data.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal either.")] = False,
    wipe: Annotated[
        bool, typer.Option(help="Overwrite the freed space too; locks the tables meanwhile.")
    ] = True,
) -> None:
    """Delete all that is kept of a user, for good."""
    if not user:
        fail("--user must name somebody: what is nobody's own is everybody's.")
    application = load_application()
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"Delete everything of '{user}' for good?", abort=True)
    erased = run(_erase(application, user, wipe=wipe))
    typer.echo("\n".join(f"{name}: {count}" for name, count in erased.items()) or "nothing there")


def _sqlite_database(application: Application, url: str) -> SqliteDatabase:
    try:
        database = open_database(application.settings, url)
    except ValueError as error:
        fail(f"--from {error}")
    if not isinstance(database, SqliteDatabase) or not (database.file and database.file.exists()):
        fail("--from must name a SQLite database that exists, such as sqlite:///data/chat.db")
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
