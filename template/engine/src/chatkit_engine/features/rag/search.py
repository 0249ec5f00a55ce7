"""How well passages fit: by meaning, by words, and by where the user is.

Finds the passages that answer: by meaning and by words, near the page that the user looks at."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from cachetools import TTLCache
from sqlalchemy import Connection

from chatkit_engine.context import PageContext, User
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder, Embedder
from chatkit_engine.features.rag.fulltext import WordHits, find_words
from chatkit_engine.features.rag.page_scope import Whereabouts
from chatkit_engine.features.rag.rows import Passage
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.store.database import Database

# What `evaluate` finds best over the documents in the tests.
WORD_WEIGHT = 0.35
CHAPTER_BOOST = 0.05
LESSON_BOOST = 0.15
MIN_COVERAGE = 0.35
CANDIDATES = 30
MAX_CACHED = 1000


class FoundPassage(NamedTuple):
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
    ) -> list[FoundPassage]:
        """Return the passages that fit one of the queries, best first. It takes a while.

        `near` and `hits` have for each query the cosines of chunks, and what has its words.
        """
        found = [
            FoundPassage(passage, max(scores))
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


def _order(found: FoundPassage) -> tuple[float, str, int]:
    return -found.score, found.passage.document_id, found.passage.position


Scope = Literal["full", "chapter", "lesson"]


@dataclass(frozen=True)
class Question:
    """What is looked for: queries that mean the same, and where."""

    queries: tuple[str, ...]
    scope: Scope = "full"
    place: Whereabouts = field(default_factory=Whereabouts)

    @classmethod
    def of(
        cls, queries: Sequence[str], scope: Scope = "full", page: PageContext | None = None
    ) -> "Question":
        return cls(tuple(queries), scope, Whereabouts.of(page))

    @property
    def lacks_place(self) -> bool:
        """Say whether the page does not tell which chapter or lesson is meant."""
        place = self.place
        named = {"full": place, "chapter": place.chapter, "lesson": place.lesson}[self.scope]
        return named is None


class DocumentSearch:
    """Searches the documents that a user may read: their own and the shared ones."""

    def __init__(
        self, database: Database, embedder: CachedEmbedder, store: VectorStore, ranking: Ranking
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._store = store
        self._ranking = ranking
        # Threads that compute at once keep the event loop waiting for each of them.
        self._one_ranks = asyncio.Lock()

    async def search(self, user: User, question: Question, limit: int) -> list[FoundPassage]:
        """Return the passages that fit, best first; none where nothing does.

        Raises:
            Unavailable: the vector store or the embedding model does not answer.
        """
        within = await self._within(user, question)
        if within == []:
            return []
        vectors = await self._embedder.embed_for(user.id, question.queries)
        nearest = await self._store.search(user.id, vectors, CANDIDATES, within)
        near = [dict(of_query) for of_query in nearest]
        hits, passages = await self._database.read(_load, user.id, question.queries, near, within)
        async with self._one_ranks:
            ranked = await asyncio.to_thread(
                self._ranking.rank, passages, near, hits, question.place
            )
        return ranked[:limit]

    async def _within(self, user: User, question: Question) -> list[str] | None:
        """Return the documents that the question's scope has; None for all that the user reads."""
        if question.scope == "full":
            return None
        documents = await self._database.read(rows.list_readable, user.id)
        return question.place.within(question.scope, documents)


class CachedSearch:
    """Keeps what was found for a while: for the user who asked, until their documents change."""

    def __init__(self, database: Database, search: DocumentSearch, settings: RagSettings) -> None:
        self._database = database
        self._search = search
        self._limit = settings.search_results
        self._found: TTLCache[object, list[FoundPassage]] = TTLCache(
            MAX_CACHED, settings.search_cache_seconds
        )

    async def search(self, user: User, question: Question) -> list[FoundPassage]:
        versions = await self._database.read(rows.versions, user.id)
        key = (user.id, question, tuple(sorted(versions.items())))
        if (known := self._found.get(key)) is not None:
            return known
        found = await self._search.search(user, question, self._limit)
        self._found[key] = found
        return found


def _load(
    connection: Connection,
    user_id: str,
    queries: Sequence[str],
    near: Sequence[Mapping[str, float]],
    within: Sequence[str] | None,
) -> tuple[list[WordHits], list[Passage]]:
    """Return what has the queries' words, and all passages that are near or have them."""
    hits = find_words(connection, user_id, queries, CANDIDATES, within)
    ids = dict.fromkeys(chunk_id for of_query in near for chunk_id in of_query)
    ids |= dict.fromkeys(chunk_id for of_query in hits for chunk_id in of_query.chunk_ids)
    return hits, list(rows.load_passages(connection, user_id, list(ids)).values())
