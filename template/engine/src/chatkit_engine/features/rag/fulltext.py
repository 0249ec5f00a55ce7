"""Full-text search over the chunks that a user may read.

Frequent words are left out where rarer ones are enough: the work stays the same however many chunks
there are, and such words rank nothing.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection, text

from chatkit_engine.features.rag.vectors.store import SHARED
from chatkit_engine.features.rag.words import UNSPACED, WORD, fold, telling

MAX_WORDS = 20
MAX_RANKED = 1000
BEGINNING = 6

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
    """The chunks that have a query's words, best first, and how much each word tells."""

    chunk_ids: Sequence[str]
    weights: Mapping[str, float]

    def coverage(self, text: str) -> float:
        """Return which share of what the query's words tell is in the text, 0 to 1."""
        if not self.weights:
            return 0.0
        folded = fold(text.casefold())
        words = set(WORD.findall(folded))
        said = words | {word[:BEGINNING] for word in words}
        found = sum(
            weight
            for begins, weight in self._by_beginning.items()
            if begins in (folded if UNSPACED.match(begins) else said)
        )
        return found / sum(self._by_beginning.values())

    @cached_property
    def _by_beginning(self) -> dict[str, float]:
        """The weights by how the words begin, which is what their forms mostly share."""
        weights: dict[str, float] = {}
        for word, weight in self.weights.items():
            begins = fold(word.casefold())[:BEGINNING]
            weights[begins] = max(weight, weights.get(begins, 0.0))
        return weights


def find_words(
    connection: Connection,
    user_id: str,
    queries: Sequence[str],
    limit: int,
    document_ids: Sequence[str] | None = None,
) -> list[WordHits]:
    """Return for each query the chunks of the user's own and of the shared documents."""
    return [_find(connection, user_id, query, limit, document_ids) for query in queries]


def _find(
    connection: Connection,
    user_id: str,
    query: str,
    limit: int,
    document_ids: Sequence[str] | None,
) -> WordHits:
    dialect = DIALECTS[connection.dialect.name]
    words = telling(query, MAX_WORDS)
    values: dict[str, object] = {"user": user_id, "shared": SHARED, "most": MAX_RANKED}
    counts = dialect.count(connection, words, values)
    weights = {word: 1 / (1 + math.log1p(counts.get(word, 0))) for word in words}
    ranked = _rare_enough(counts)
    if not ranked or document_ids == []:
        return WordHits([], weights)
    values["query"] = " OR ".join(f'"{word}"' for word in ranked)
    values["limit"] = limit
    statement = dialect.rank.format(within="" if document_ids is None else dialect.within)
    if document_ids is not None:
        values["documents"] = dialect.as_list(document_ids)
    return WordHits(list(connection.scalars(text(statement), values)), weights)


def _rare_enough(counts: Mapping[str, int]) -> list[str]:
    """Return the rarest words that occur at all: one, or as many as `MAX_RANKED` chunks have."""
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
    asked = {**values, "words": list(words)}
    rows = connection.execute(text(_POSTGRESQL_COUNT), asked).all()
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
