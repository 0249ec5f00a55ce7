"""Search in PostgreSQL: a GIN index over `tsvector`, ranked by cover density."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row

from app.store.search_words import NEWEST, SNIPPET_WORDS, any_of, queries

FREQUENT = NEWEST // 10
WALKED = 10 * NEWEST

_RECENT = text(
    """
    WITH newest AS MATERIALIZED (
        SELECT seq, to_tsvector('simple', left(text, 100000)) AS words FROM items
        WHERE user_id = :user AND text <> '' ORDER BY seq DESC LIMIT :newest
    )
    SELECT query, array_agg(seq) AS found FROM newest, unnest(CAST(:queries AS text[])) AS query
    WHERE newest.words @@ websearch_to_tsquery('simple', query)
    GROUP BY query
    """
)

# The index gives a word's matches in no order, so that finding the newest would read them all. A
# frequent word's are found by walking the user's messages instead, which soon has enough.
_WALK = """(
    SELECT seq FROM (
        SELECT seq, text FROM items
        WHERE user_id = :user AND text <> '' ORDER BY seq DESC LIMIT :walked
    ) AS newest
    WHERE to_tsvector('simple', left(text, 100000)) @@ websearch_to_tsquery('simple', :{query})
    LIMIT :newest
)"""

# The index's own expression (see the first migration): the user's name is one of its words, so that
# the word is looked up among that user's messages alone.
_LOOK_UP = """(
    SELECT seq FROM items
    WHERE user_id = :user AND text <> ''
      AND to_tsvector('simple', left(text, 100000)) || array_to_tsvector(ARRAY['user ' || user_id])
          @@ (CAST(:owner AS tsquery) && websearch_to_tsquery('simple', :{query}))
      AND numnode(websearch_to_tsquery('simple', :{query})) > 0
    LIMIT :newest
)"""

_POSTGRESQL = """
    WITH hits AS (
        SELECT items.seq, items.thread_id, items.id, items.text,
               ts_rank_cd(to_tsvector('simple', left(items.text, 100000)),
                          websearch_to_tsquery('simple', :words)) AS rank
        FROM (SELECT unnest(CAST(:recent AS bigint[])) AS seq UNION {candidates}) AS candidates
        JOIN items USING (seq)
        ORDER BY rank DESC, items.seq DESC
        LIMIT :limit
    )
    SELECT hits.thread_id, hits.id AS item_id, threads.data AS thread,
           ts_headline('simple', left(hits.text, 100000), websearch_to_tsquery('simple', :words),
               'StartSel=**, StopSel=**, MinWords=8, MaxWords={around}') AS snippet
    FROM hits JOIN threads ON threads.id = hits.thread_id
    WHERE threads.user_id = :user
    ORDER BY hits.rank DESC, hits.seq DESC
"""


def search_postgresql(
    connection: Connection, words: list[str], user_id: str, limit: int
) -> Sequence[Row[Any]]:
    named = {f"query_{number}": query for number, query in enumerate(queries(words))}
    values: dict[str, object] = {
        **named,
        "queries": list(named.values()),
        "user": user_id,
        "owner": _quoted(f"user {user_id}"),
        "words": any_of(words),
        "newest": NEWEST,
        "walked": WALKED,
        "limit": limit,
    }
    recent = {row.query: row.found for row in connection.execute(_RECENT, values)}
    values["recent"] = [seq for found in recent.values() for seq in found]
    candidates = " UNION ".join(
        (_WALK if len(recent.get(query, ())) >= FREQUENT else _LOOK_UP).format(query=name)
        for name, query in named.items()
    )
    statement = _POSTGRESQL.format(candidates=candidates, around=SNIPPET_WORDS)
    return connection.execute(text(statement), values).all()


def _quoted(lexeme: str) -> str:
    """Return a text as one word of a `tsquery`."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
