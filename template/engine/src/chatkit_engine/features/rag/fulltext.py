"""Full-text search over the chunks that a user may read.

Frequent words are ignored if rarer ones match enough chunks. They hardly affect the ranking, and
the cost of a search would otherwise grow with the number of chunks.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection, text

from chatkit_engine.features.rag.vectors.store import SHARED
from chatkit_engine.features.rag.words import UNSPACED, WORD, fold, search_terms

MAX_WORDS = 20
MAX_RANKED = 1000
PREFIX = 6
_SQLITE_COUNT = """
    SELECT term, doc FROM rag_words WHERE term IN (SELECT value FROM json_each(:terms))
"""
_SQLITE = """
    SELECT id FROM (
        SELECT rag_chunks.id, rag_chunks.seq, bm25(rag_search, 2.0, 1.0) AS score
        FROM rag_search JOIN rag_chunks ON rag_chunks.seq = rag_search.rowid
        WHERE rag_search MATCH :query AND rag_chunks.user_id IN (:user, :shared)
          AND NOT rag_chunks.staged {within}
        LIMIT :most
    ) AS matches
    ORDER BY score, seq
    LIMIT :limit
"""
_SQLITE_WITHIN = "AND rag_chunks.document_id IN (SELECT value FROM json_each(:documents))"
_POSTGRESQL_COUNT = """
    SELECT word AS term, (
        SELECT count(*) FROM (
            SELECT 1 FROM rag_chunks
            WHERE words @@ plainto_tsquery('simple', word) AND user_id IN (:user, :shared)
            LIMIT :most
        ) AS matches
    ) AS doc
    FROM unnest(CAST(:words AS text[])) AS word
"""
_POSTGRESQL = """
    SELECT id FROM (
        SELECT id, seq, words FROM rag_chunks
        WHERE words @@ websearch_to_tsquery('simple', :query) AND user_id IN (:user, :shared)
          AND NOT staged {within}
        LIMIT :most
    ) AS matches
    ORDER BY ts_rank_cd(words, websearch_to_tsquery('simple', :query), 1) DESC, seq
    LIMIT :limit
"""
_POSTGRESQL_WITHIN = "AND document_id = ANY(CAST(:documents AS text[]))"


@dataclass(frozen=True)
class WordHits:
    """The chunks that have a query's words, best first, and the weight of each word."""

    chunk_ids: Sequence[str]
    weights: Mapping[str, float]

    def coverage(self, text: str) -> float:
        """Return the share, by weight, of the query's words that are in the text: 0 to 1."""
        if not self.weights:
            return 0.0
        folded = fold(text.casefold())
        words = set(WORD.findall(folded))
        known = words | {word[:PREFIX] for word in words}
        found = sum(
            weight
            for prefix, weight in self._by_prefix.items()
            if prefix in (folded if UNSPACED.match(prefix) else known)
        )
        return found / sum(self._by_prefix.values())

    @cached_property
    def _by_prefix(self) -> dict[str, float]:
        """The weights by the words' prefixes, which the forms of a word usually share."""
        weights: dict[str, float] = {}
        for word, weight in self.weights.items():
            prefix = fold(word.casefold())[:PREFIX]
            weights[prefix] = max(weight, weights.get(prefix, 0.0))
        return weights


def find_words(
    connection: Connection,
    user_id: str,
    queries: Sequence[str],
    limit: int,
    document_ids: Sequence[str] | None = None,
) -> list[WordHits]:
    """Return the hits of each query in the user's own and the shared documents."""
    return [_find(connection, user_id, query, limit, document_ids) for query in queries]


def _find(
    connection: Connection,
    user_id: str,
    query: str,
    limit: int,
    document_ids: Sequence[str] | None,
) -> WordHits:
    dialect = DIALECTS[connection.dialect.name]
    words = search_terms(query, MAX_WORDS)
    values: dict[str, object] = {"user": user_id, "shared": SHARED, "most": MAX_RANKED}
    counts = dialect.count(connection, words, values)
    weights = {word: 1 / (1 + math.log1p(counts.get(word, 0))) for word in words}
    ranked = _rarest(counts)
    if not ranked or document_ids == []:
        return WordHits([], weights)
    values["query"] = " OR ".join(f'"{word}"' for word in ranked)
    values["limit"] = limit
    statement = dialect.rank.format(within="" if document_ids is None else dialect.within)
    if document_ids is not None:
        values["documents"] = dialect.as_list(document_ids)
    return WordHits(list(connection.scalars(text(statement), values)), weights)


def _rarest(counts: Mapping[str, int]) -> list[str]:
    """Return the rarest words that occur: at least one, and while their chunks fit `MAX_RANKED`."""
    ranked: list[str] = []
    left = MAX_RANKED
    for word in sorted((word for word in counts if counts[word]), key=lambda word: counts[word]):
        if ranked and counts[word] > left:
            break
        ranked.append(word)
        left -= counts[word]
    return ranked


def _count_sqlite(
    connection: Connection, words: Sequence[str], values: Mapping[str, object]
) -> dict[str, int]:
    terms = json.dumps([fold(word) for word in words])
    rows = connection.execute(text(_SQLITE_COUNT), {"terms": terms}).all()
    counted: dict[str, int] = {row.term: row.doc for row in rows}
    return {word: counted.get(fold(word), 0) for word in words}


def _count_postgresql(
    connection: Connection, words: Sequence[str], values: Mapping[str, object]
) -> dict[str, int]:
    parameters = {**values, "words": list(words)}
    rows = connection.execute(text(_POSTGRESQL_COUNT), parameters).all()
    return {row.term: row.doc for row in rows}


@dataclass(frozen=True)
class _Dialect:
    count: Callable[[Connection, Sequence[str], Mapping[str, object]], dict[str, int]]
    rank: str
    within: str
    as_list: Callable[[Sequence[str]], object]


DIALECTS = {
    "sqlite": _Dialect(_count_sqlite, _SQLITE, _SQLITE_WITHIN, json.dumps),
    "postgresql": _Dialect(_count_postgresql, _POSTGRESQL, _POSTGRESQL_WITHIN, list),
}
