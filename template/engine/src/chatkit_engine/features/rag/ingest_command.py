"""Runs the command `ingest`, with its progress and its summary on the terminal.

It is apart from `commands`, because the readers of files are slow to import and the other commands
do not need them.
"""

import sys
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from chatkit_engine.features.rag.components import RagComponents, load_components, migrate
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.features.rag.ingest import Ingest, Progress, Report, WouldWipe
from chatkit_engine.terminal import Project, fail, run_async

MAX_SOURCE = 50
INTERRUPTED = 130


def run_ingest(project: Project, path: Path, collection: str, owner: str, *, replace: bool) -> bool:
    """Ingest, print a summary, and return whether no file was refused."""
    components = load_components(project)
    try:
        report = run_async(_ingest(components, path, collection, owner, replace=replace))
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("Interrupted: run it again to continue.", err=True)
        raise
    _print_summary(report, collection, components)
    return not report.refused


async def _ingest(
    components: RagComponents, path: Path, collection: str, owner: str, *, replace: bool
) -> Report:
    database, embedder, store = components.database, components.embedder, components.store
    async with aclosing(database), aclosing(store), aclosing(embedder):
        await migrate(components)
        ingest = Ingest(database, embedder, store, owner)
        plan = await ingest.plan(path, collection)
        if plan.would_wipe and not replace:
            raise WouldWipe(collection)
        with _progress() as progress:
            try:
                return await ingest.carry_out(plan, progress)
            except EmbeddingsUnavailable as error:
                fail(error.advice)


def _print_summary(report: Report, collection: str, components: RagComponents) -> None:
    typer.echo(
        f"{collection}: {report.added} added, {report.changed} changed, "
        f"{report.unchanged} unchanged, {report.deleted} deleted, {len(report.refused)} refused"
    )
    typer.echo(
        f"{report.chunks} chunks written, {report.embedded} embedded by {components.embedder.name}"
    )
    if report.left_out:
        counted = (f"{count} {_printable(suffix)}" for suffix, count in report.left_out.items())
        typer.echo(f"skipped, because no reader supports them: {', '.join(counted)}")
    for source, reason in report.refused:
        typer.echo(f"refused {_printable(source)}: {reason}", err=True)


@contextmanager
def _progress() -> Generator[Progress]:
    """Show progress on standard error: a bar on a terminal, otherwise a line for each document."""
    if not sys.stderr.isatty():
        yield _print_done
        return
    source_column = TextColumn("{task.fields[source]}", markup=False)
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), source_column)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, source="")

        def show(done: float, total: int, source: str) -> None:
            bar.update(task, completed=done, total=total, source=_printable(source)[-MAX_SOURCE:])

        yield show


def _print_done(done: float, total: int, source: str) -> None:
    if done == int(done) and done > 0:
        typer.echo(f"{int(done)}/{total} {_printable(source)}", err=True)


def _printable(text: str) -> str:
    """Replace control characters, because a file's name could otherwise control the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
