"""Finds the passages that answer a question: by meaning and by words, preferring the user's page.

A chapter or lesson has many spellings: "03-loops", "Chapter 3", "3" and "Loops" all name the same
one. Two names match if their numbers are equal and their titles are equal, as far as both have one.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from cachetools import TTLCache
from sqlalchemy import Connection

from chatkit_engine.context import PageContext, User
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder, Embedder
from chatkit_engine.features.rag.fulltext import WordHits, find_words
from chatkit_engine.features.rag.rows import Document, Passage
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.features.rag.words import fold, words_of
from chatkit_engine.store.database import Database

# These values have the best scores in `evaluate` over the documents of the tests.
WORD_WEIGHT = 0.35
CHAPTER_BOOST = 0.05
LESSON_BOOST = 0.15
MIN_COVERAGE = 0.35
CANDIDATES = 30
MAX_CACHED = 1000
KINDS = frozenset(
    ("chapter", "lesson", "unit", "part", "section", "kapitel", "lektion", "teil", "abschnitt")
)
Scope = Literal["full", "chapter", "lesson"]


class DocumentSearch:
    """Searches the documents that a user may read: their own and the shared ones."""

    def __init__(
        self, database: Database, embedder: CachedEmbedder, store: VectorStore, ranking: "Ranking"
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._store = store
        self._ranking = ranking
        # Rankings in several threads would compete with the event loop for the interpreter's lock.
        self._ranking_lock = asyncio.Lock()

    async def search(self, user: User, question: "Question", limit: int) -> list["FoundPassage"]:
        """Return the matching passages, best first.

        Raises:
            Unavailable: the vector store or the embedding model does not answer.
        """
        document_ids = await self._documents_in_scope(user, question)
        if document_ids == []:
            return []
        vectors = await self._embedder.embed_for(user.id, question.queries)
        nearest = await self._store.search(user.id, vectors, CANDIDATES, document_ids)
        similarities = [dict(of_query) for of_query in nearest]
        hits, passages = await self._database.read(
            _load_candidates, user.id, question.queries, similarities, document_ids
        )
        async with self._ranking_lock:
            ranked = await asyncio.to_thread(
                self._ranking.rank, passages, similarities, hits, question.location
            )
        return ranked[:limit]

    async def _documents_in_scope(self, user: User, question: "Question") -> list[str] | None:
        """Return the ids of the documents in the question's scope, or None for all of them."""
        if question.scope == "full":
            return None
        documents = await self._database.read(rows.list_readable, user.id)
        return question.location.documents_in(question.scope, documents)


class CachedSearch:
    """Remembers results for a while, for each user apart, until their documents change."""

    def __init__(self, database: Database, search: DocumentSearch, settings: RagSettings) -> None:
        self._database = database
        self._search = search
        self._limit = settings.search_results
        self._found: TTLCache[object, list[FoundPassage]] = TTLCache(
            MAX_CACHED, settings.search_cache_seconds
        )

    async def search(self, user: User, question: "Question") -> list["FoundPassage"]:
        versions = await self._database.read(rows.versions, user.id)
        key = (user.id, question, tuple(sorted(versions.items())))
        if (known := self._found.get(key)) is not None:
            return known
        found = await self._search.search(user, question, self._limit)
        self._found[key] = found
        return found


class FoundPassage(NamedTuple):
    """A passage and its score, which is comparable within one search only."""

    passage: Passage
    score: float


@dataclass(frozen=True)
class Ranking:
    """How passages are scored. Below the cosine `min_similarity`, a match means nothing."""

    min_similarity: float
    word_weight: float = WORD_WEIGHT
    chapter_boost: float = CHAPTER_BOOST
    lesson_boost: float = LESSON_BOOST

    @classmethod
    def of(cls, settings: RagSettings, embedder: Embedder) -> "Ranking":
        chosen = settings.search_min_similarity
        return cls(embedder.min_similarity if chosen is None else chosen)

    def rank(
        self,
        passages: Iterable[Passage],
        similarities: Sequence[Mapping[str, float]],
        hits: Sequence[WordHits],
        location: "PageLocation",
    ) -> list[FoundPassage]:
        """Return the passages that match one of the queries, best first. It blocks.

        `similarities` (the cosines of chunks) and `hits` have an entry for each query.
        """
        found = [
            FoundPassage(passage, max(scores))
            for passage in passages
            if (scores := self._scores(passage, similarities, hits, self.boost(location, passage)))
        ]
        return sorted(found, key=_order)

    def boost(self, location: "PageLocation", passage: Passage) -> float:
        """Return the bonus of a passage from the user's chapter or lesson."""
        if location.in_lesson(passage):
            return self.lesson_boost
        return self.chapter_boost if location.in_chapter(passage) else 0.0

    def score(self, similarity: float, coverage: float, boost: float) -> float | None:
        """Return how well a passage matches one query, or None if it does not.

        The boost also lowers the bar, because a question about the user's own page is seldom
        complete.
        """
        matches_words = self.word_weight > 0 and coverage + boost >= MIN_COVERAGE
        if similarity + boost < self.min_similarity and not matches_words:
            return None
        return (1 - self.word_weight) * similarity + self.word_weight * coverage + boost

    def _scores(
        self,
        passage: Passage,
        similarities: Sequence[Mapping[str, float]],
        hits: Sequence[WordHits],
        boost: float,
    ) -> list[float]:
        """Return the passage's scores for the queries that it matches."""
        text = f"{passage.heading} {passage.text}"
        scores = [
            self.score(cosines.get(passage.chunk_id, 0.0), words.coverage(text), boost)
            for cosines, words in zip(similarities, hits, strict=True)
        ]
        return [score for score in scores if score is not None]


@dataclass(frozen=True)
class UnitName:
    """The name of a chapter or lesson, as a number and a title. One of them may be empty."""

    number: str
    title: str

    @classmethod
    def parse(cls, text: str | None) -> "UnitName | None":
        words = words_of(fold(text or ""))
        if words and words[0] in KINDS:
            words = words[1:]
        if not words:
            return None
        if words[0].isdecimal():
            return cls(words[0].lstrip("0") or "0", " ".join(words[1:]))
        return cls("", " ".join(words))

    def matches(self, text: str) -> bool:
        """Return whether the text names the same chapter or lesson."""
        other = UnitName.parse(text)
        if other is None:
            return False
        pairs = [(self.number, other.number), (self.title, other.title)]
        in_both = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
        return bool(in_both) and all(mine == theirs for mine, theirs in in_both)


class Located(Protocol):
    """A document, or a passage of one, with its chapter and lesson."""

    @property
    def chapter(self) -> str: ...

    @property
    def lesson(self) -> str: ...


@dataclass(frozen=True)
class PageLocation:
    """The chapter and the lesson of the page that the user looks at, if it names them."""

    chapter: UnitName | None = None
    lesson: UnitName | None = None

    @classmethod
    def of(cls, page: PageContext | None) -> "PageLocation":
        if page is None:
            return cls()
        return cls(UnitName.parse(page.current_chapter), UnitName.parse(page.current_lesson))

    def in_chapter(self, document: Located) -> bool:
        return self.chapter is not None and self.chapter.matches(document.chapter)

    def in_lesson(self, document: Located) -> bool:
        """Return whether the document is in the lesson, in any chapter if the page names none."""
        if self.lesson is None or not self.lesson.matches(document.lesson):
            return False
        return self.chapter is None or self.in_chapter(document)

    def documents_in(self, scope: Scope, documents: Sequence[Document]) -> list[str] | None:
        """Return the ids of the documents in a scope, or None for all of them."""
        if scope == "full":
            return None
        is_inside = self.in_chapter if scope == "chapter" else self.in_lesson
        return [document.id for document in documents if is_inside(document)]


@dataclass(frozen=True)
class Question:
    """Queries with the same meaning, and where to search for them."""

    queries: tuple[str, ...]
    scope: Scope = "full"
    location: PageLocation = field(default_factory=PageLocation)

    @classmethod
    def of(
        cls, queries: Sequence[str], scope: Scope = "full", page: PageContext | None = None
    ) -> "Question":
        return cls(tuple(queries), scope, PageLocation.of(page))

    @property
    def lacks_location(self) -> bool:
        """Whether the scope is a chapter or lesson that the page does not name."""
        location = self.location
        names = {"full": location, "chapter": location.chapter, "lesson": location.lesson}
        return names[self.scope] is None


def _order(found: FoundPassage) -> tuple[float, str, int]:
    return -found.score, found.passage.document_id, found.passage.position


def _load_candidates(
    connection: Connection,
    user_id: str,
    queries: Sequence[str],
    similarities: Sequence[Mapping[str, float]],
    document_ids: Sequence[str] | None,
) -> tuple[list[WordHits], list[Passage]]:
    """Return the hits by words, and all passages that match by meaning or by words."""
    hits = find_words(connection, user_id, queries, CANDIDATES, document_ids)
    ids = dict.fromkeys(chunk_id for of_query in similarities for chunk_id in of_query)
    ids |= dict.fromkeys(chunk_id for of_query in hits for chunk_id in of_query.chunk_ids)
    return hits, list(rows.load_passages(connection, user_id, list(ids)).values())
