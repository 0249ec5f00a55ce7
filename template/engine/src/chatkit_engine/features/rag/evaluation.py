"""How well the search finds what is known to answer a question: by recall@5 and MRR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from chatkit_engine.context import PageContext, User
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder, Embedder
from chatkit_engine.features.rag.rows import Passage
from chatkit_engine.features.rag.search import DocumentSearch, Question, Ranking
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.store.database import Database

FIRST = 5
DEPTH = 20


class Case(BaseModel):
    """A question, where it is asked, and the passages that answer it.

    A passage is a source, or a source and a part of its heading, as in `setup/install.md#Linux`.
    Without answers nothing is to be found.
    """

    question: str
    answers: list[str]
    page: PageContext | None = None


CASES = TypeAdapter(list[Case])


@dataclass(frozen=True)
class Scores:
    """Means over the questions: of the share of answers among the first five, and of 1 / rank.

    `refused` is the share of the questions without an answer to which nothing was found.
    """

    recall: float
    mrr: float
    refused: float


def load_cases(file: Path) -> list[Case]:
    """Read questions from a JSON file.

    Raises:
        ValidationError: it is not a list of questions.
    """
    return CASES.validate_json(file.read_bytes())


def rankings(usual: Ranking) -> dict[str, Ranking]:
    """Return the usual ranking, and it without what it has beside the vectors."""
    plain = {"chapter_boost": 0.0, "lesson_boost": 0.0}
    return {
        "hybrid, boost": usual,
        "hybrid": replace(usual, **plain),
        "vector, boost": replace(usual, word_weight=0.0),
        "vector": replace(usual, word_weight=0.0, **plain),
    }


async def compare(
    database: Database, embedder: Embedder, store: VectorStore, user: User, cases: Sequence[Case]
) -> dict[str, Scores]:
    """Evaluate what the user has ingested, by each ranking."""
    asking = CachedEmbedder(embedder, seconds=60)
    usual = Ranking.of(RagSettings(), embedder)
    return {
        name: await evaluate(DocumentSearch(database, asking, store, ranking), user, cases)
        for name, ranking in rankings(usual).items()
    }


def as_table(stores: Mapping[str, Mapping[str, Scores]]) -> str:
    """Return the scores as lines of text, a store and a ranking each."""
    head = f"{'store':<12}{'ranking':<16}{'recall@5':>9}{'MRR':>7}{'nothing found':>15}"
    lines = [
        f"{store:<12}{name:<16}{each.recall:>9.3f}{each.mrr:>7.3f}{each.refused:>15.3f}"
        for store, by_ranking in stores.items()
        for name, each in by_ranking.items()
    ]
    return "\n".join([head, *lines])


async def evaluate(search: DocumentSearch, user: User, cases: Sequence[Case]) -> Scores:
    answerable = [case for case in cases if case.answers]
    found = [await _ranks(search, user, case) for case in answerable]
    recalls = [sum(rank <= FIRST for rank in ranks) / len(ranks) for ranks in found]
    reciprocals = [1 / min(ranks) for ranks in found]
    unanswerable = [case for case in cases if not case.answers]
    refused = [not await _search(search, user, case) for case in unanswerable]
    return Scores(_mean(recalls), _mean(reciprocals), _mean(refused))


async def _ranks(search: DocumentSearch, user: User, case: Case) -> list[float]:
    """Return the rank of each answer, from 1; infinite where it was not found."""
    passages = await _search(search, user, case)
    return [_rank(answer, passages) for answer in case.answers]


def _rank(answer: str, passages: Sequence[Passage]) -> float:
    source, _, heading = answer.partition("#")
    fitting = (
        rank
        for rank, passage in enumerate(passages, 1)
        if passage.source == source and heading in passage.heading
    )
    return next(fitting, float("inf"))


async def _search(search: DocumentSearch, user: User, case: Case) -> list[Passage]:
    question = Question.of([case.question], page=case.page)
    return [found.passage for found in await search.search(user, question, DEPTH)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
