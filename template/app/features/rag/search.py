"""Finds the passages that answer: by meaning and by words, near the page that the user looks at."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cachetools import TTLCache
from sqlalchemy import Connection

from app.context import PageContext, User
from app.features.rag import rows
from app.features.rag.embeddings.cached import CachedEmbedder
from app.features.rag.fulltext import WordHits, find_words
from app.features.rag.places import Whereabouts
from app.features.rag.ranking import Found, Ranking
from app.features.rag.rows import Passage
from app.features.rag.settings import RagSettings
from app.features.rag.vectors.contract import VectorStore
from app.store.engine import Database

Scope = Literal["full", "chapter", "lesson"]

CANDIDATES = 50
MAX_CACHED = 1000


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

    async def search(self, user: User, question: Question, limit: int) -> list[Found]:
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
        ranked = await asyncio.to_thread(self._ranking.rank, passages, near, hits, question.place)
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
