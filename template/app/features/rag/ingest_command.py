"""The work of the command `ingest`, and what it tells on the terminal."""

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

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
from app.features.rag.vectors.contract import VectorStore
from app.features.rag.vectors.wiring import create_vector_store
from app.observability.logs import configure_logging
from app.settings import Settings
from app.store.databases import open_database
from app.store.engine import Database
from app.store.migrate import CORE, Migrations, pending, upgrade
from app.terminal import explained, fail, run

INTERRUPTED = 130
PATIENCE = 8
"""How often an API that is busy is asked again: nobody waits for an answer here."""


@dataclass(frozen=True)
class Parts:
    """What a run needs, open."""

    settings: Settings
    database: Database
    chains: list[Migrations]
    embedder: Embedder
    store: VectorStore


def ingest_and_tell(path: Path, collection: str, owner: str, *, replace: bool) -> bool:
    """Ingest, and say whether every file was taken."""
    parts = _load()
    try:
        report = run(_ingest(parts, path, collection, owner, replace=replace))
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("Interrupted: run it again to go on.", err=True)
        raise
    _tell(report, collection, parts)
    return not report.refused


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
