"""Full-text search over the user's own threads: SQLite's FTS5, ranked by BM25."""

import re

from pydantic import BaseModel
from sqlalchemy import Connection, text

from app.store.engine import Database

MAX_WORDS = 20
SNIPPET_WORDS = 16

_SEARCH = text(
    """
    SELECT items.thread_id, items.id AS item_id,
           json_extract(threads.data, '$.title') AS title,
           snippet(items_search, 0, '**', '**', '…', :around) AS snippet
    FROM items_search
    JOIN items ON items.seq = items_search.rowid
    JOIN threads ON threads.id = items.thread_id
    WHERE items_search MATCH :words AND items.user_id = :user AND threads.user_id = :user
    ORDER BY bm25(items_search), items.seq DESC
    LIMIT :limit
    """
)


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
    values: dict[str, object] = {
        "words": " OR ".join(f'"{word}"' for word in words),
        "user": user_id,
        "around": SNIPPET_WORDS,
        "limit": limit,
    }
    return await database.read(_search, values)


def _search(connection: Connection, values: dict[str, object]) -> list[SearchHit]:
    rows = connection.execute(_SEARCH, values).mappings()
    return [SearchHit.model_validate(row) for row in rows]
