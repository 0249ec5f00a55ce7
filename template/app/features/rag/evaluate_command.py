"""The work of the command `evaluate`."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import typer
from pydantic import ValidationError

from app.context import User
from app.features.rag import rows
from app.features.rag.evaluation import Case, as_table, compare, load_cases
from app.features.rag.ingest import Ingest
from app.features.rag.parts import Parts, load_parts, migrate
from app.store.ids import new_id
from app.terminal import fail, run

QUESTIONS = "questions.json"
NO_QUESTIONS = (
    f"{QUESTIONS} in the folder must be a list such as "
    '[{"question": "...", "answers": ["setup/install.md#Linux"]}].'
)


def evaluate_and_tell(folder: Path) -> None:
    """Ingest the folder for nobody, ask its questions, and print how well they are answered."""
    try:
        cases = load_cases(folder / QUESTIONS)
    except (OSError, ValidationError):
        fail(NO_QUESTIONS)
    typer.echo(run(_evaluate(load_parts(), folder, cases)))


async def _evaluate(parts: Parts, folder: Path, cases: Sequence[Case]) -> str:
    async with aclosing(parts.database), aclosing(parts.store), aclosing(parts.embedder):
        await migrate(parts)
        async with _ingested(parts, folder) as user:
            scores = await compare(parts.database, parts.embedder, parts.store, user, cases)
    return as_table({parts.store.name.split()[0]: scores})


@asynccontextmanager
async def _ingested(parts: Parts, folder: Path) -> AsyncGenerator[User]:
    """Have the folder's documents in the database and the store for a while, as nobody's."""
    user = User(id=new_id("evaluation"))
    try:
        await Ingest(parts.database, parts.embedder, parts.store, user.id).run(folder, folder.name)
        yield user
    finally:
        await parts.store.remove_user(user.id)
        await parts.database.write(rows.remove_all, user.id)
