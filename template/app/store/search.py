"""Full-text search over the user's own threads: ranked, with the words around each match.

Ranked are the newest fifty messages that have all of the words, and the newest fifty of each
word: the work stays the same however many messages there are, and a word that is everywhere hides
no rare one. On PostgreSQL, of a word that has more matches and is rare in the newest messages, any
fifty are ranked beside those.

SQLite has FTS5, ranked by BM25. PostgreSQL has `tsvector`, ranked by cover density; its index reads
the first 100,000 characters of a message.
"""

import re
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row

from app.store.codec import THREAD
from app.store.engine import Database
from app.store.records import UNTRUSTED
from app.store.search_postgresql import search_postgresql
from app.store.search_sqlite import search_sqlite

MAX_WORDS = 20


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
