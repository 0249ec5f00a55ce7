"""Shows how far a run of `ingest` has come: a bar on a terminal, lines elsewhere."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from app.features.rag.report import Progress

MAX_SOURCE = 50


@contextmanager
def shown_progress() -> Generator[Progress]:
    """Give what shows it on standard error."""
    if not sys.stderr.isatty():
        yield _say
        return
    source_column = TextColumn("{task.fields[source]}", markup=False)
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), source_column)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, source="")

        def show(done: float, total: int, source: str) -> None:
            bar.update(task, completed=done, total=total, source=printable(source)[-MAX_SOURCE:])

        yield show


def printable(text: str) -> str:
    """Return a file's name so that it cannot steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _say(done: float, total: int, source: str) -> None:
    if done == int(done) and done > 0:
        typer.echo(f"{int(done)}/{total} {printable(source)}", err=True)
