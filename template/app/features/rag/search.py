"""Finds the passages that answer: by meaning and by words, near the page that the user looks at."""

from collections.abc import Sequence
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
from app.features.rag.vectors.contract import Match, VectorStore
from app.features.rag.words import words_of
from app.store.engine import Database

Scope = Literal["full", "chapter", "lesson"]

CANDIDATES = 50
WORD_WEIGHT = 0.35
CHAPTER_BOOST = 0.05
LESSON_BOOST = 0.1
MIN_COVERAGE = 0.6
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

    def score(self, match: Match | None, hits: WordHits, passage: Passage) -> float | None:
        """Return how well a passage fits one query; None where it does not."""
        similarity = match.similarity if match else 0.0
        coverage = hits.coverage(words_of(f"{passage.heading} {passage.text}"))
        by_words = self.word_weight > 0 and coverage >= MIN_COVERAGE
        if similarity < self.min_similarity and not by_words:
            return None
        return (1 - self.word_weight) * similarity + self.word_weight * coverage

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
        matches = await self._store.search(user.id, vectors, CANDIDATES, within)
        hits = await self._find_words(user, question, within)
        passages = await self._database.read(
            rows.load_passages, user.id, list(_candidates(matches, hits))
        )
        scores = self._scores(matches, hits, passages)
        by_id = {document.id: document for document in documents}
        found = [
            Found(passages[chunk_id], score + self._boost(question, by_id, passages[chunk_id]))
            for chunk_id, score in scores.items()
        ]
        return sorted(found, key=_order)[:limit]

    async def _find_words(
        self, user: User, question: Question, within: Sequence[str] | None
    ) -> list[WordHits]:
        return await self._database.read(find_words, user.id, question.queries, CANDIDATES, within)

    def _scores(
        self,
        matches: Sequence[Sequence[Match]],
        hits: Sequence[WordHits],
        passages: dict[str, Passage],
    ) -> dict[str, float]:
        """Return the best score that each passage has for one of the queries."""
        best: dict[str, float] = {}
        for of_query, words in zip(matches, hits, strict=True):
            by_id = {match.chunk_id: match for match in of_query}
            for chunk_id, passage in passages.items():
                score = self._ranking.score(by_id.get(chunk_id), words, passage)
                if score is not None:
                    best[chunk_id] = max(score, best.get(chunk_id, score))
        return best

    def _boost(self, question: Question, documents: dict[str, Document], passage: Passage) -> float:
        document = documents.get(passage.document_id)
        return self._ranking.boost(question.whereabouts, document) if document else 0.0


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


def _candidates(matches: Sequence[Sequence[Match]], hits: Sequence[WordHits]) -> dict[str, None]:
    near = [match.chunk_id for of_query in matches for match in of_query]
    said = [chunk_id for of_query in hits for chunk_id in of_query.chunk_ids]
    return dict.fromkeys([*near, *said])


def _order(found: Found) -> tuple[float, str, int]:
    return -found.score, found.passage.document_id, found.passage.position
