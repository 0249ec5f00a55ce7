"""The command `ingest`."""

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.errors import Conflict
from app.features.rag.embeddings import create_embedder
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.embeddings.errors import EmbeddingsUnavailable
from app.features.rag.ingest import Ingest, WouldWipe
from app.features.rag.report import Report
from app.features.rag.settings import RagSettings
from app.features.rag.shown_progress import printable, shown_progress
from app.features.rag.tables import MIGRATIONS
from app.features.rag.vectors import pgvector_tables
from app.features.rag.vectors.contract import SHARED, VectorStore
from app.features.rag.vectors.wiring import create_vector_store
from app.observability.logs import configure_logging
from app.security.tokens import is_usable_subject
from app.settings import Settings
from app.store.databases import open_database
from app.store.engine import Database
from app.store.migrate import CORE, Migrations, pending, upgrade
from app.terminal import explained, fail, run

INTERRUPTED = 130
MAX_NAME = 200
PATIENCE = 8
"""How often an API that is busy is asked again: nobody waits for an answer here."""

commands = typer.Typer()


@dataclass(frozen=True)
class Parts:
    """What a run needs, open."""

    settings: Settings
    database: Database
    chains: list[Migrations]
    embedder: Embedder
    store: VectorStore


@commands.command()
def ingest(
    path: Annotated[Path, typer.Argument(exists=True, help="A folder, or one file.")],
    name: Annotated[
        str | None, typer.Option(help="The collection; else the name of the folder or file.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose alone; else every user's.")] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Delete what the collection has, if all of it is gone."),
    ] = False,
) -> None:
    """Have documents found: those that changed are embedded, those that are gone are deleted."""
    collection = name if name is not None else path.resolve().name
    if not (collection.isprintable() and 0 < len(collection) <= MAX_NAME):
        fail(f"--name must have from 1 to {MAX_NAME} printable characters.")
    if user is not None and not is_usable_subject(user):
        fail("--user must have from 1 to 255 printable characters.")
    parts = _load()
    try:
        report = run(_ingest(parts, path, collection, user or SHARED, replace=replace))
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("Interrupted: run it again to go on.", err=True)
        raise
    _tell(report, collection, parts)
    raise typer.Exit(1 if report.refused else 0)


def _load() -> Parts:
    """Make what the settings ask for; nothing is connected yet."""
    with explained():
        patient = {"database_timeout_seconds": None, "llm_max_retries": PATIENCE}
        settings, own = Settings().model_copy(update=patient), RagSettings()
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        database = open_database(settings)
        embedder = create_embedder(own, settings)
        store = create_vector_store(own, database, embedder)
    chains = [CORE, MIGRATIONS]
    if own.vector_store == "pgvector":
        chains.append(pgvector_tables.MIGRATIONS)
    return Parts(settings, database, chains, embedder, store)


async def _ingest(
    parts: Parts, path: Path, collection: str, owner: str, *, replace: bool
) -> Report:
    async with aclosing(parts.database), aclosing(parts.store), aclosing(parts.embedder):
        await _migrate(parts)
        work = Ingest(parts.database, parts.embedder, parts.store, owner)
        plan = await work.plan(path, collection)
        if plan.would_wipe and not replace:
            raise WouldWipe(collection)
        with shown_progress() as progress:
            try:
                return await work.carry_out(plan, progress)
            except EmbeddingsUnavailable as error:
                fail(error.advice)


async def _migrate(parts: Parts) -> None:
    """Apply migrations in development; production runs `migrate` when it chooses to."""
    if not parts.settings.is_production:
        await upgrade(parts.database, parts.chains)
    elif waiting := await pending(parts.database, parts.chains):
        raise Conflict(f"Run `migrate` first; not applied yet: {', '.join(waiting)}.")


def _tell(report: Report, collection: str, parts: Parts) -> None:
    typer.echo(
        f"{collection}: {report.added} added, {report.changed} changed, "
        f"{report.unchanged} unchanged, {report.deleted} deleted, {len(report.refused)} refused"
    )
    typer.echo(
        f"{report.chunks} passages written, {report.embedded} embedded by {parts.embedder.name}"
    )
    if report.left_out:
        counted = (f"{count} {printable(ending)}" for ending, count in report.left_out.items())
        typer.echo(f"left out, as no reader is for them: {', '.join(counted)}")
    for source, why in report.refused:
        typer.echo(f"refused {printable(source)}: {why}", err=True)
