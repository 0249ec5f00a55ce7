"""Full-text search over the user's own threads: ranked, with the words around each match.

SQLite has FTS5, ranked by BM25. PostgreSQL has `tsvector`, ranked by cover density; its index
reads the first 100,000 characters of a message.
"""

import re

from pydantic import BaseModel
from sqlalchemy import Connection, text

from app.store.codec import THREAD
from app.store.engine import Database

MAX_WORDS = 20
SNIPPET_WORDS = 16
HEADLINE = f"StartSel=**, StopSel=**, MinWords={SNIPPET_WORDS // 2}, MaxWords={SNIPPET_WORDS}"

_SQLITE = text(
    """
    SELECT items.thread_id, items.id AS item_id, threads.data AS thread,
           snippet(items_search, 0, '**', '**', '…', :around) AS snippet
    FROM items_search
    JOIN items ON items.seq = items_search.rowid
    JOIN threads ON threads.id = items.thread_id
    WHERE items_search MATCH :words AND items.user_id = :user AND threads.user_id = :user
    ORDER BY bm25(items_search), items.seq DESC
    LIMIT :limit
    """
)

# The index's own expression (see the first migration): the user's name is one of its words, so that
# it reads that user's messages alone. Snippets are made for the best matches only.
_POSTGRESQL = text(
    """
    WITH hits AS (
        SELECT items.seq, items.thread_id, items.id, items.text,
               ts_rank_cd(to_tsvector('simple', left(items.text, 100000)), query.words) AS rank
        FROM items,
             (SELECT websearch_to_tsquery('simple', :words) AS words,
                     CAST(:owner AS tsquery) AS owner) AS query
        WHERE items.text <> '' AND numnode(query.words) > 0
          AND to_tsvector('simple', left(items.text, 100000))
              || array_to_tsvector(ARRAY['user ' || items.user_id]) @@ (query.owner && query.words)
          AND items.user_id = :user
        ORDER BY rank DESC, items.seq DESC
        LIMIT :limit
    )
    SELECT hits.thread_id, hits.id AS item_id, threads.data AS thread,
           ts_headline(
               'simple', left(hits.text, 100000), websearch_to_tsquery('simple', :words), :headline
           ) AS snippet
    FROM hits JOIN threads ON threads.id = hits.thread_id
    WHERE threads.user_id = :user
    ORDER BY hits.rank DESC, hits.seq DESC
    """
)


def rebuild_index(connection: Connection) -> None:
    """Make the index anew: SQLite's keeps deleted words until it happens to merge them away."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("INSERT INTO items_search(items_search) VALUES ('rebuild')"))


class SearchHit(BaseModel):
    """A message that matches: where it is, and its words around the match in `**`."""

    thread_id: str
    item_id: str
    title: str | None
    snippet: str


async def search_messages(
    database: Database, user_id: str, query: str, limit: int
) -> list[SearchHit]:
    """Return the user's messages that have any of the query's words, best match first."""
    words = re.findall(r"\w+", query)[:MAX_WORDS]
    if not words:
        return []
    return await database.read(_search, words, user_id, limit)


def _search(connection: Connection, words: list[str], user_id: str, limit: int) -> list[SearchHit]:
    is_sqlite = connection.dialect.name == "sqlite"
    values: dict[str, object] = {
        "words": " OR ".join(f'"{word}"' for word in words),
        "user": user_id,
        "owner": _quoted(f"user {user_id}"),
        "around": SNIPPET_WORDS,
        "headline": HEADLINE,
        "limit": limit,
    }
    rows = connection.execute(_SQLITE if is_sqlite else _POSTGRESQL, values)
    return [
        SearchHit(
            thread_id=row.thread_id,
            item_id=row.item_id,
            title=THREAD.validate_json(row.thread).title,
            snippet=row.snippet,
        )
        for row in rows
    ]


def _quoted(lexeme: str) -> str:
    """Return a text as one word of a `tsquery`."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
