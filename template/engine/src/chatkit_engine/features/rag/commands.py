"""The commands for documents."""

from pathlib import Path
from typing import Annotated

import typer

from chatkit_engine.features.rag.vectors.store import SHARED
from chatkit_engine.security.authentication import is_usable_subject
from chatkit_engine.terminal import fail, project_of

MAX_NAME = 200
commands = typer.Typer()


@commands.command()
def ingest(
    ctx: typer.Context,
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
    # The readers of files are slow to import, and no other command needs them.
    from chatkit_engine.features.rag.command_work import ingest_and_tell  # noqa: PLC0415

    is_whole = ingest_and_tell(project_of(ctx), path, collection, user or SHARED, replace=replace)
    raise typer.Exit(0 if is_whole else 1)


@commands.command()
def evaluate(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Documents, and questions.json.")
    ],
) -> None:
    """Ask questions whose answers are known: recall@5 and MRR, by what the ranking has."""
    from chatkit_engine.features.rag.command_work import evaluate_and_tell  # noqa: PLC0415

    evaluate_and_tell(project_of(ctx), folder)
