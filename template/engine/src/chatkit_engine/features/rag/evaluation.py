"""Measures how well the search answers known questions: recall@5 and mean reciprocal rank (MRR)."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatkit_engine.context import PageContext, User
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.components import RagComponents, load_components, migrate
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder, Embedder
from chatkit_engine.features.rag.ingest import Ingest
from chatkit_engine.features.rag.rows import Passage
from chatkit_engine.features.rag.search import DocumentSearch, Question, Ranking
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.terminal import Project, fail, run_async

RECALL_AT = 5
DEPTH = 20
QUESTIONS = "questions.json"
NO_QUESTIONS = (
    f"{QUESTIONS} in the folder must be a list such as "
    '[{"question": "...", "answers": ["setup/install.md#Linux"]}].'
)


class Case(BaseModel):
    """A question, the page it is asked on, and the passages that answer it.

    An answer is a source, optionally with a part of the heading: `setup/install.md#Linux`. A case
    without answers expects that nothing is found.
    """

    question: str
    answers: list[str]
    page: PageContext | None = None


CASES = TypeAdapter(list[Case])


@dataclass(frozen=True)
class Scores:
    """Means over the questions.

    `rejected` is the share of the questions without an answer for which nothing was found.
    """

    recall: float
    mrr: float
    rejected: float


def run_evaluation(project: Project, folder: Path) -> None:
    """Ingest the folder for a temporary user, ask its questions, and print the scores."""
    try:
        cases = load_cases(folder / QUESTIONS)
    except (OSError, ValidationError):
        fail(NO_QUESTIONS)
    typer.echo(run_async(_evaluate_folder(load_components(project), folder, cases)))


def load_cases(file: Path) -> list[Case]:
    """Read cases from a JSON file.

    Raises:
        ValidationError: it is not a list of cases.
    """
    return CASES.validate_json(file.read_bytes())


async def compare(
    database: Database, embedder: Embedder, store: VectorStore, user: User, cases: Sequence[Case]
) -> dict[str, Scores]:
    """Evaluate each ranking on the documents that the user has ingested."""
    cached = CachedEmbedder(embedder, seconds=60)
    default = Ranking.of(RagSettings(), embedder)
    return {
        name: await evaluate(DocumentSearch(database, cached, store, ranking), user, cases)
        for name, ranking in rankings(default).items()
    }


def rankings(default: Ranking) -> dict[str, Ranking]:
    """Return the default ranking, and the same without word search, without boosts, or both."""
    no_boosts = {"chapter_boost": 0.0, "lesson_boost": 0.0}
    return {
        "hybrid, boost": default,
        "hybrid": replace(default, **no_boosts),
        "vector, boost": replace(default, word_weight=0.0),
        "vector": replace(default, word_weight=0.0, **no_boosts),
    }


async def evaluate(search: DocumentSearch, user: User, cases: Sequence[Case]) -> Scores:
    answerable = [case for case in cases if case.answers]
    found = [await _ranks(search, user, case) for case in answerable]
    recalls = [sum(rank <= RECALL_AT for rank in ranks) / len(ranks) for ranks in found]
    reciprocals = [1 / min(ranks) for ranks in found]
    unanswerable = [case for case in cases if not case.answers]
    rejected = [not await _search(search, user, case) for case in unanswerable]
    return Scores(_mean(recalls), _mean(reciprocals), _mean(rejected))


def as_table(stores: Mapping[str, Mapping[str, Scores]]) -> str:
    """Return the scores as text, with a line for each store and ranking."""
    head = f"{'store':<12}{'ranking':<16}{'recall@5':>9}{'MRR':>7}{'nothing found':>15}"
    lines = [
        f"{store:<12}{name:<16}{each.recall:>9.3f}{each.mrr:>7.3f}{each.rejected:>15.3f}"
        for store, by_ranking in stores.items()
        for name, each in by_ranking.items()
    ]
    return "\n".join([head, *lines])


async def _evaluate_folder(components: RagComponents, folder: Path, cases: Sequence[Case]) -> str:
    database, embedder, store = components.database, components.embedder, components.store
    async with aclosing(database), aclosing(store), aclosing(embedder):
        await migrate(components)
        async with _temporary_user(components, folder) as user:
            scores = await compare(database, embedder, store, user, cases)
    return as_table({store.name.split()[0]: scores})


@asynccontextmanager
async def _temporary_user(components: RagComponents, folder: Path) -> AsyncGenerator[User]:
    """Ingest the folder for a new user, and remove all of it afterwards."""
    database, embedder, store = components.database, components.embedder, components.store
    user = User(id=new_id("evaluation"))
    try:
        await Ingest(database, embedder, store, user.id).run(folder, folder.name)
        yield user
    finally:
        await store.remove_user(user.id)
        await database.write(rows.remove_all, user.id)


async def _ranks(search: DocumentSearch, user: User, case: Case) -> list[float]:
    """Return the rank of each answer, counted from 1. It is infinite if it was not found."""
    passages = await _search(search, user, case)
    return [_rank(answer, passages) for answer in case.answers]


def _rank(answer: str, passages: Sequence[Passage]) -> float:
    source, _, heading = answer.partition("#")
    matching = (
        rank
        for rank, passage in enumerate(passages, 1)
        if passage.source == source and heading in passage.heading
    )
    return next(matching, float("inf"))


async def _search(search: DocumentSearch, user: User, case: Case) -> list[Passage]:
    question = Question.of([case.question], page=case.page)
    return [found.passage for found in await search.search(user, question, DEPTH)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
