"""How well passages fit: by meaning, by words, and by where the user is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.features.rag.embeddings.contract import Embedder
from app.features.rag.fulltext import WordHits
from app.features.rag.places import Whereabouts
from app.features.rag.rows import Passage
from app.features.rag.settings import RagSettings

# What `evaluate` finds best over the documents in the tests.
WORD_WEIGHT = 0.35
CHAPTER_BOOST = 0.05
LESSON_BOOST = 0.15
MIN_COVERAGE = 0.35


class Found(NamedTuple):
    """A passage, and how well it fits. Scores are compared within one search only."""

    passage: Passage
    score: float


@dataclass(frozen=True)
class Ranking:
    """What a passage is ranked by. `min_similarity` is the cosine below which nothing is meant."""

    min_similarity: float
    word_weight: float = WORD_WEIGHT
    chapter_boost: float = CHAPTER_BOOST
    lesson_boost: float = LESSON_BOOST

    @classmethod
    def of(cls, settings: RagSettings, embedder: Embedder) -> "Ranking":
        chosen = settings.search_min_similarity
        return cls(embedder.min_similarity if chosen is None else chosen)

    def score(self, similarity: float, coverage: float, boost: float) -> float | None:
        """Return how well a passage fits one query; None where it does not.

        Where the user is, less likeness is enough: a question from there is seldom complete.
        """
        by_words = self.word_weight > 0 and coverage + boost >= MIN_COVERAGE
        if similarity + boost < self.min_similarity and not by_words:
            return None
        return (1 - self.word_weight) * similarity + self.word_weight * coverage + boost

    def boost(self, where: Whereabouts, passage: Passage) -> float:
        """Return what a passage gains where the user is."""
        if where.in_lesson(passage):
            return self.lesson_boost
        return self.chapter_boost if where.in_chapter(passage) else 0.0

    def rank(
        self,
        passages: Iterable[Passage],
        near: Sequence[Mapping[str, float]],
        hits: Sequence[WordHits],
        where: Whereabouts,
    ) -> list[Found]:
        """Return the passages that fit one of the queries, best first. It takes a while.

        `near` and `hits` have for each query the cosines of chunks, and what has its words.
        """
        found = [
            Found(passage, max(scores))
            for passage in passages
            if (scores := self._scores(passage, near, hits, self.boost(where, passage)))
        ]
        return sorted(found, key=_order)

    def _scores(
        self,
        passage: Passage,
        near: Sequence[Mapping[str, float]],
        hits: Sequence[WordHits],
        boost: float,
    ) -> list[float]:
        """Return the passage's score for each query that it fits."""
        text = f"{passage.heading} {passage.text}"
        scores = [
            self.score(cosines.get(passage.chunk_id, 0.0), said.coverage(text), boost)
            for cosines, said in zip(near, hits, strict=True)
        ]
        return [score for score in scores if score is not None]


def _order(found: Found) -> tuple[float, str, int]:
    return -found.score, found.passage.document_id, found.passage.position
