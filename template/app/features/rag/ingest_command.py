"""The work of the command `ingest`, and what it tells on the terminal."""

from contextlib import aclosing
from pathlib import Path

import typer

from app.features.rag.embeddings.errors import EmbeddingsUnavailable
from app.features.rag.ingest import Ingest, WouldWipe
from app.features.rag.parts import Parts, load_parts, migrate
from app.features.rag.report import Report
from app.features.rag.shown_progress import printable, shown_progress
from app.terminal import fail, run

INTERRUPTED = 130


def ingest_and_tell(path: Path, collection: str, owner: str, *, replace: bool) -> bool:
    """Ingest, and say whether every file was taken."""
    parts = load_parts()
    try:
        report = run(_ingest(parts, path, collection, owner, replace=replace))
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("Interrupted: run it again to go on.", err=True)
        raise
    _tell(report, collection, parts)
    return not report.refused


async def _ingest(
    parts: Parts, path: Path, collection: str, owner: str, *, replace: bool
) -> Report:
    async with aclosing(parts.database), aclosing(parts.store), aclosing(parts.embedder):
        await migrate(parts)
        work = Ingest(parts.database, parts.embedder, parts.store, owner)
        plan = await work.plan(path, collection)
        if plan.would_wipe and not replace:
            raise WouldWipe(collection)
        with shown_progress() as progress:
            try:
                return await work.carry_out(plan, progress)
            except EmbeddingsUnavailable as error:
                fail(error.advice)


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
