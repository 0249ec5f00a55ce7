"""How well the search finds what is known to answer a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from app.context import PageContext, User
from app.features.rag.rows import Passage
from app.features.rag.search import DocumentSearch, Question

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
