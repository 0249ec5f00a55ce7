"""Shows how far a run of `ingest` has come: a bar on a terminal, lines elsewhere.

The work of the command `ingest`, and what it tells on the terminal.

The work of the command `evaluate`."""

import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from chatkit_engine.context import User
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.components import RagComponents, load_components, migrate
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.features.rag.evaluation import Case, as_table, compare, load_cases
from chatkit_engine.features.rag.ingest import Ingest, Progress, Report, WouldWipe
from chatkit_engine.store.ids import new_id
from chatkit_engine.terminal import Project, fail, run_async

MAX_SOURCE = 50
INTERRUPTED = 130
QUESTIONS = "questions.json"

NO_QUESTIONS = (
    f"{QUESTIONS} in the folder must be a list such as "
    '[{"question": "...", "answers": ["setup/install.md#Linux"]}].'
)


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


def ingest_and_tell(
    project: Project, path: Path, collection: str, owner: str, *, replace: bool
) -> bool:
    """Ingest, and say whether every file was taken."""
    parts = load_components(project)
    try:
        report = run_async(_ingest(parts, path, collection, owner, replace=replace))
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("Interrupted: run it again to go on.", err=True)
        raise
    _tell(report, collection, parts)
    return not report.refused


async def _ingest(
    parts: RagComponents, path: Path, collection: str, owner: str, *, replace: bool
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


def _tell(report: Report, collection: str, parts: RagComponents) -> None:
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


def evaluate_and_tell(project: Project, folder: Path) -> None:
    """Ingest the folder for nobody, ask its questions, and print how well they are answered."""
    try:
        cases = load_cases(folder / QUESTIONS)
    except (OSError, ValidationError):
        fail(NO_QUESTIONS)
    typer.echo(run_async(_evaluate(load_components(project), folder, cases)))


async def _evaluate(parts: RagComponents, folder: Path, cases: Sequence[Case]) -> str:
    async with aclosing(parts.database), aclosing(parts.store), aclosing(parts.embedder):
        await migrate(parts)
        async with _ingested(parts, folder) as user:
            scores = await compare(parts.database, parts.embedder, parts.store, user, cases)
    return as_table({parts.store.name.split()[0]: scores})


@asynccontextmanager
async def _ingested(parts: RagComponents, folder: Path) -> AsyncGenerator[User]:
    """Have the folder's documents in the database and the store for a while, as nobody's."""
    user = User(id=new_id("evaluation"))
    try:
        await Ingest(parts.database, parts.embedder, parts.store, user.id).run(folder, folder.name)
        yield user
    finally:
        await parts.store.remove_user(user.id)
        await parts.database.write(rows.remove_all, user.id)
