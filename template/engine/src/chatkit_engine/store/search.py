"""A search's words, in the spelling that both databases read: quoted, with `OR`.

Search in SQLite: FTS5, ranked by BM25.

Search in PostgreSQL: a GIN index over `tsvector`, ranked by cover density.

Full-text search over the user's own threads: ranked, with the words around each match.

Ranked are the newest fifty messages that have all of the words, and the newest fifty of each
word: the work stays the same however many messages there are, and a word that is everywhere hides
no rare one. On PostgreSQL, of a word that has more matches and is rare in the newest messages, any
fifty are ranked beside those.

SQLite has FTS5, ranked by BM25. PostgreSQL has `tsvector`, ranked by cover density; its index reads
the first 100,000 characters of a message.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, text

from chatkit_engine.store.database import Database
from chatkit_engine.store.items import THREAD, UNTRUSTED

SNIPPET_WORDS = 16
NEWEST = 50

# The user is indexed with the text. BM25 is reckoned over the candidates alone: over all
# messages it would count every user's at each search. CROSS keeps the index first, from the newest.
_CANDIDATES_TABLE = """
    CREATE VIRTUAL TABLE IF NOT EXISTS temp.candidates
    USING fts5(text, tokenize='unicode61 remove_diacritics 2')
"""

_FIND_CANDIDATES = text(
    """
    SELECT items.seq FROM items_search CROSS JOIN items ON items.seq = items_search.rowid
    WHERE items_search MATCH :query AND items.user_id = :user
    ORDER BY items_search.rowid DESC
    LIMIT :newest
    """
)

_KEEP_CANDIDATES = text(
    """
    INSERT INTO candidates(rowid, text)
    SELECT seq, text FROM items WHERE seq IN (SELECT value FROM json_each(:found))
    """
)

_SQLITE = text(
    """
    SELECT items.thread_id, items.id AS item_id, threads.data AS thread,
           snippet(candidates, 0, '**', '**', '…', :around) AS snippet
    FROM candidates
    JOIN items ON items.seq = candidates.rowid
    JOIN threads ON threads.id = items.thread_id
    WHERE candidates MATCH :words AND items.user_id = :user AND threads.user_id = :user
    ORDER BY bm25(candidates), items.seq DESC
    LIMIT :limit
    """
)

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

MAX_WORDS = 20


def queries(words: list[str]) -> list[str]:
    """Return what finds candidates: all the words together, and each of them."""
    quoted = [f'"{word}"' for word in words]
    return list(dict.fromkeys([" ".join(quoted), *quoted]))


def any_of(words: list[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def search_sqlite(
    connection: Connection, words: list[str], user_id: str, limit: int
) -> Sequence[Row[Any]]:
    found: set[int] = set()
    for query in queries(words):
        owned = f"{_indexed_owner(user_id)} text : ({query})"
        newest = {"query": owned, "user": user_id, "newest": NEWEST}
        found.update(connection.scalars(_FIND_CANDIDATES, newest))
    connection.exec_driver_sql(_CANDIDATES_TABLE)
    connection.exec_driver_sql("DELETE FROM candidates")
    connection.execute(_KEEP_CANDIDATES, {"found": json.dumps(list(found))})
    values: Mapping[str, object] = {
        "words": any_of(words),
        "user": user_id,
        "around": SNIPPET_WORDS,
        "limit": limit,
    }
    return connection.execute(_SQLITE, values).all()


def _indexed_owner(user_id: str) -> str:
    """Return the query's part for the user; one without a letter or digit is not indexed."""
    if not re.search(r"[^\W_]", user_id):
        return ""
    quoted = user_id.replace('"', '""')
    return f'user_id : "{quoted}" AND'


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


class SearchHit(BaseModel):
    """A message that matches: where it is, and its words around the match in `**`.

    It is `untrusted` where it may repeat a text of somebody else.
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
    search = search_sqlite if connection.dialect.name == "sqlite" else search_postgresql
    return [_hit(row) for row in search(connection, words, user_id, limit)]


def _hit(row: Row[Any]) -> SearchHit:
    thread = THREAD.validate_json(row.thread)
    return SearchHit(
        thread_id=row.thread_id,
        item_id=row.item_id,
        title=thread.title,
        snippet=row.snippet,
        untrusted=UNTRUSTED in thread.metadata,
    )
