"""Full-text search over a user's own messages, ranked, with a snippet around each match.

Only candidates are ranked, because the work must not grow with the number of messages: the newest
50 messages with all of the words, and the newest 50 with each of the words, so that a frequent word
does not crowd out a rare one.

SQLite has FTS5, ranked by BM25. PostgreSQL has `tsvector`, ranked by cover density; its index has
the first 100,000 characters of a message. A word that is rare among the user's newest messages
contributes any 50 of its matches there, because a GIN index returns them in no order.
"""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, text

from chatkit_engine.store.database import Database
from chatkit_engine.store.items import THREAD, UNTRUSTED

MAX_WORDS = 20
SNIPPET_WORDS = 16
CANDIDATES = 50
# PostgreSQL: a word is frequent if this many of the newest 50 messages have it. Its newest matches
# are then among the newest 500 messages.
FREQUENT = CANDIDATES // 10
SCANNED = 10 * CANDIDATES


class SearchHit(BaseModel):
    """A matching message, with the words around the match; the match is marked with `**`.

    `untrusted` means that the thread has read text from a third party, which it may repeat.
    """

    thread_id: str
    item_id: str
    title: str | None
    snippet: str
    untrusted: bool = Field(default=False, exclude=True)


async def search_messages(
    database: Database, user_id: str, query: str, limit: int
) -> list[SearchHit]:
    """Return the user's messages that have any of the query's words, best match first."""
    words = re.findall(r"\w+", query)[:MAX_WORDS]
    if not words:
        return []
    return await database.read(_search, words, user_id, limit)


def _search(connection: Connection, words: list[str], user_id: str, limit: int) -> list[SearchHit]:
    quoted = [f'"{word}"' for word in words]
    # All words together, and each alone. Both databases read this spelling.
    queries = list(dict.fromkeys([" ".join(quoted), *quoted]))
    values = {
        "user": user_id,
        "any_word": " OR ".join(quoted),
        "candidates": CANDIDATES,
        "limit": limit,
    }
    search = _search_sqlite if connection.dialect.name == "sqlite" else _search_postgresql
    return [_hit(row) for row in search(connection, queries, values)]


def _hit(row: Row[Any]) -> SearchHit:
    thread = THREAD.validate_json(row.thread)
    return SearchHit(
        thread_id=row.thread_id,
        item_id=row.item_id,
        title=thread.title,
        snippet=row.snippet,
        untrusted=UNTRUSTED in thread.metadata,
    )


# BM25 weighs a word by how many rows have it. A table of the candidates alone keeps other users'
# messages out of that count.
_CREATE_CANDIDATES = """
    CREATE VIRTUAL TABLE IF NOT EXISTS temp.candidates
    USING fts5(text, tokenize='unicode61 remove_diacritics 2')
"""

# CROSS JOIN keeps SQLite from reordering: the index is read from the newest message on.
_ADD_CANDIDATES = text(
    """
    INSERT OR REPLACE INTO candidates(rowid, text)
    SELECT items.seq, items.text
    FROM items_search CROSS JOIN items ON items.seq = items_search.rowid
    WHERE items_search MATCH :query AND items.user_id = :user
    ORDER BY items_search.rowid DESC
    LIMIT :candidates
    """
)

_RANK_SQLITE = text(
    """
    SELECT items.thread_id, items.id AS item_id, threads.data AS thread,
           snippet(candidates, 0, '**', '**', '…', :snippet_words) AS snippet
    FROM candidates
    JOIN items ON items.seq = candidates.rowid
    JOIN threads ON threads.id = items.thread_id
    WHERE candidates MATCH :any_word AND items.user_id = :user AND threads.user_id = :user
    ORDER BY bm25(candidates), items.seq DESC
    LIMIT :limit
    """
)


def _search_sqlite(
    connection: Connection, queries: list[str], values: dict[str, Any]
) -> Sequence[Row[Any]]:
    connection.exec_driver_sql(_CREATE_CANDIDATES)
    connection.exec_driver_sql("DELETE FROM candidates")
    user: str = values["user"]
    # The index has the user id as a column. An id without a letter or digit has no tokens.
    is_indexed = re.search(r"[^\W_]", user)
    owner = 'user_id : "{}" AND'.format(user.replace('"', '""')) if is_indexed else ""
    for query in queries:
        match = f"{owner} text : ({query})"
        connection.execute(_ADD_CANDIDATES, {**values, "query": match})
    return connection.execute(_RANK_SQLITE, {**values, "snippet_words": SNIPPET_WORDS}).all()


# PostgreSQL uses the index only for the very expression that it was created with (migration 0001).
_MATCH_NEWEST = text(
    """
    WITH newest AS MATERIALIZED (
        SELECT seq, to_tsvector('simple', left(text, 100000)) AS words FROM items
        WHERE user_id = :user AND text <> '' ORDER BY seq DESC LIMIT :candidates
    )
    SELECT query, array_agg(seq) AS found FROM newest, unnest(CAST(:queries AS text[])) AS query
    WHERE newest.words @@ websearch_to_tsquery('simple', query)
    GROUP BY query
    """
)

# For a frequent word. The index would return all of its matches to find the newest.
_SCAN = """(
    SELECT seq FROM (
        SELECT seq, text FROM items
        WHERE user_id = :user AND text <> '' ORDER BY seq DESC LIMIT :scanned
    ) AS newest
    WHERE to_tsvector('simple', left(text, 100000)) @@ websearch_to_tsquery('simple', :{query})
    LIMIT :candidates
)"""

# For a rare word. The index has "user ID" as one more word of each message, so that it is read for
# this user alone. A query without lexemes would match all of the user's messages.
_LOOK_UP = """(
    SELECT seq FROM items
    WHERE user_id = :user AND text <> ''
      AND to_tsvector('simple', left(text, 100000)) || array_to_tsvector(ARRAY['user ' || user_id])
          @@ (CAST(:owner AS tsquery) && websearch_to_tsquery('simple', :{query}))
      AND numnode(websearch_to_tsquery('simple', :{query})) > 0
    LIMIT :candidates
)"""

_RANK_POSTGRESQL = """
    WITH hits AS (
        SELECT seq, items.thread_id, items.id, text,
               ts_rank_cd(to_tsvector('simple', left(text, 100000)),
                          websearch_to_tsquery('simple', :any_word)) AS rank
        FROM (SELECT unnest(CAST(:newest AS bigint[])) AS seq UNION {candidates}) AS candidates
        JOIN items USING (seq)
        ORDER BY rank DESC, seq DESC
        LIMIT :limit
    )
    SELECT hits.thread_id, hits.id AS item_id, threads.data AS thread,
           ts_headline('simple', left(hits.text, 100000),
               websearch_to_tsquery('simple', :any_word), :headline) AS snippet
    FROM hits JOIN threads ON threads.id = hits.thread_id
    WHERE threads.user_id = :user
    ORDER BY hits.rank DESC, hits.seq DESC
"""


def _search_postgresql(
    connection: Connection, queries: list[str], values: dict[str, Any]
) -> Sequence[Row[Any]]:
    values = {**values, "queries": queries, "scanned": SCANNED}
    newest = {row.query: row.found for row in connection.execute(_MATCH_NEWEST, values)}
    named = {f"query_{number}": query for number, query in enumerate(queries)}
    candidates = " UNION ".join(
        (_SCAN if len(newest.get(query, ())) >= FREQUENT else _LOOK_UP).format(query=name)
        for name, query in named.items()
    )
    values = {
        **values,
        **named,
        "owner": _tsquery_word(f"user {values['user']}"),
        "headline": f"StartSel=**, StopSel=**, MinWords=8, MaxWords={SNIPPET_WORDS}",
        "newest": [seq for found in newest.values() for seq in found],
    }
    return connection.execute(text(_RANK_POSTGRESQL.format(candidates=candidates)), values).all()


def _tsquery_word(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
