"""Finds the passages that answer: by meaning and by words, near the page that the user looks at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from cachetools import TTLCache

from app.context import PageContext, User
from app.features.rag import rows
from app.features.rag.embeddings.cached import CachedEmbedder
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.fulltext import WordHits, find_words
from app.features.rag.places import Whereabouts
from app.features.rag.rows import Document, Passage
from app.features.rag.settings import RagSettings
from app.features.rag.vectors.contract import VectorStore
from app.features.rag.words import words_of
from app.store.engine import Database

Scope = Literal["full", "chapter", "lesson"]

# What `evaluate` finds best over the documents in the tests.
CANDIDATES = 50
WORD_WEIGHT = 0.35
CHAPTER_BOOST = 0.05
LESSON_BOOST = 0.15
MIN_COVERAGE = 0.35
MAX_CACHED = 1000


class Found(NamedTuple):
    """A passage, and how well it fits. Scores are compared within one search only."""

    passage: Passage
    score: float


@dataclass(frozen=True)
class Question:
    """What is looked for: queries that mean the same, and where."""

    queries: tuple[str, ...]
    scope: Scope = "full"
    whereabouts: Whereabouts = field(default_factory=Whereabouts)

    @classmethod
    def of(
        cls, queries: Sequence[str], scope: Scope = "full", page: PageContext | None = None
    ) -> "Question":
        return cls(tuple(queries), scope, Whereabouts.of(page))

    @property
    def lacks_place(self) -> bool:
        """Say whether the page does not tell which chapter or lesson is meant."""
        where = self.whereabouts
        place = {"full": where, "chapter": where.chapter, "lesson": where.lesson}[self.scope]
        return place is None


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

    def boost(self, where: Whereabouts, document: Document) -> float:
        """Return what a passage gains where the user is."""
        if where.in_lesson(document):
            return self.lesson_boost
        return self.chapter_boost if where.in_chapter(document) else 0.0


class DocumentSearch:
    """Searches the documents that a user may read: their own and the shared ones."""

    def __init__(
        self, database: Database, embedder: CachedEmbedder, store: VectorStore, ranking: Ranking
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._store = store
        self._ranking = ranking

    async def search(self, user: User, question: Question, limit: int) -> list[Found]:
        """Return the passages that fit, best first; none where nothing does.

        Raises:
            Unavailable: the vector store or the embedding model does not answer.
        """
        documents = await self._database.read(rows.list_readable, user.id)
        within = question.whereabouts.within(question.scope, documents)
        if not documents or within == []:
            return []
        vectors = await self._embedder.embed_for(user.id, question.queries)
        nearest = await self._store.search(user.id, vectors, CANDIDATES, within)
        matches = [dict(of_query) for of_query in nearest]
        hits = await self._find_words(user, question, within)
        passages = await self._database.read(
            rows.load_passages, user.id, list(_candidates(matches, hits))
        )
        boosts = self._boosts(question, documents)
        found = [
            Found(passage, max(scores))
            for passage in passages.values()
            if (scores := self._scores(passage, matches, hits, boosts[passage.document_id]))
        ]
        return sorted(found, key=_order)[:limit]

    async def _find_words(
        self, user: User, question: Question, within: Sequence[str] | None
    ) -> list[WordHits]:
        return await self._database.read(find_words, user.id, question.queries, CANDIDATES, within)

    def _scores(
        self,
        passage: Passage,
        matches: Sequence[Mapping[str, float]],
        hits: Sequence[WordHits],
        boost: float,
    ) -> list[float]:
        """Return the passage's score for each query that it fits."""
        words = words_of(f"{passage.heading} {passage.text}")
        scores = [
            self._ranking.score(near.get(passage.chunk_id, 0.0), said.coverage(words), boost)
            for near, said in zip(matches, hits, strict=True)
        ]
        return [score for score in scores if score is not None]

    def _boosts(self, question: Question, documents: Sequence[Document]) -> dict[str, float]:
        where = question.whereabouts
        boosts = {document.id: self._ranking.boost(where, document) for document in documents}
        return defaultdict(float, boosts)


class CachedSearch:
    """Keeps what was found for a while: for the user who asked, until their documents change."""

    def __init__(self, database: Database, search: DocumentSearch, settings: RagSettings) -> None:
        self._database = database
        self._search = search
        self._limit = settings.search_results
        self._found: TTLCache[object, list[Found]] = TTLCache(
            MAX_CACHED, settings.search_cache_seconds
        )

    async def search(self, user: User, question: Question) -> list[Found]:
        versions = await self._database.read(rows.versions, user.id)
        key = (user.id, question, tuple(sorted(versions.items())))
        if (known := self._found.get(key)) is not None:
            return known
        found = await self._search.search(user, question, self._limit)
        self._found[key] = found
        return found


def _candidates(
    matches: Sequence[Mapping[str, float]], hits: Sequence[WordHits]
) -> dict[str, None]:
    near = [chunk_id for of_query in matches for chunk_id in of_query]
    said = [chunk_id for of_query in hits for chunk_id in of_query.chunk_ids]
    return dict.fromkeys([*near, *said])


def _order(found: Found) -> tuple[float, str, int]:
    return -found.score, found.passage.document_id, found.passage.position
