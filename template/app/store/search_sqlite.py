"""Search in SQLite: FTS5, ranked by BM25."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row

from app.store.search_words import NEWEST, SNIPPET_WORDS, any_of, queries

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
