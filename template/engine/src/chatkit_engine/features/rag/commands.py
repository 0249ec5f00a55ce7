"""The commands `ingest` and `evaluate`."""

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
    path: Annotated[Path, typer.Argument(exists=True, help="A folder, or a single file.")],
    name: Annotated[
        str | None,
        typer.Option(help="The collection. Default: the name of the folder or file."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Owner's user id. Default: shared with all users.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Delete the collection's documents even if none of them is in the folder.",
        ),
    ] = False,
) -> None:
    """Make documents searchable: embed what changed, and delete documents whose files are gone."""
    collection = name if name is not None else path.resolve().name
    if not (collection.isprintable() and 0 < len(collection) <= MAX_NAME):
        fail(f"--name must be 1 to {MAX_NAME} printable characters.")
    if user is not None and not is_usable_subject(user):
        fail(
            "--user must be 1 to 255 printable characters. Leave it out to share the documents "
            "with all users."
        )
    from chatkit_engine.features.rag.ingest_command import run_ingest  # noqa: PLC0415

    is_complete = run_ingest(project_of(ctx), path, collection, user or SHARED, replace=replace)
    raise typer.Exit(0 if is_complete else 1)


@commands.command()
def evaluate(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="Documents and a `questions.json`."),
    ],
) -> None:
    """Measure the search with questions whose answers are known: recall@5 and MRR."""
    from chatkit_engine.features.rag.evaluation import run_evaluation  # noqa: PLC0415

    run_evaluation(project_of(ctx), folder)
