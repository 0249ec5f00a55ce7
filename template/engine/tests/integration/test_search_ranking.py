"""Full-text search, on each database."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadMetadata
from support.app import Running

from chatkit_engine.settings.core import Settings
from chatkit_engine.store import threads
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.store.search import CANDIDATES, search_messages

ODD_NAMES = ("auth0|1", "auth0|12", "auth0 1", 'o\'brien \\ "x"', "---", "1", "用户")


@pytest.fixture
def settings(each_database: Settings) -> Settings:
    return each_database


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    database = open_database(settings)
    await upgrade(database, [CORE])
    yield database
    await database.aclose()


async def _save(database: Database, user: str, *texts: str) -> None:
    """Save messages in a new thread, the oldest first."""
    now = datetime.now(UTC)
    thread = ThreadMetadata(id=new_id("thr"), created_at=now)
    items = [
        AssistantMessageItem(
            id=new_id("msg"),
            thread_id=thread.id,
            created_at=now,
            content=[AssistantMessageContent(text=text)],
        )
        for text in texts
    ]
    await database.write(threads.save_thread, thread, user)
    await database.write(threads.save_items, thread.id, items, user)


async def _find(database: Database, user: str, query: str, limit: int = 10) -> list[str]:
    hits = await search_messages(database, user, query, limit)
    return [hit.snippet.replace("**", "") for hit in hits]


async def test_it_finds_words_ranked_and_forgets_what_is_deleted(app: Running) -> None:
    for text in ("the giraffe eats leaves", "a giraffe, a giraffe, a giraffe", "no animals here"):
        await app.http.post("/api/chat", json={"message": text})

    found = (await app.http.get("/api/threads/search", params={"q": "Giraffe"})).json()

    threads = {hit["thread_id"] for hit in found}
    assert len(threads) == 2
    assert all("**giraffe**" in hit["snippet"].lower() for hit in found)
    assert found[0]["snippet"].lower().count("giraffe") > 1
    for thread in threads:
        await app.http.delete(f"/api/threads/{thread}")
    assert (await app.http.get("/api/threads/search", params={"q": "giraffe"})).json() == []


async def test_it_takes_any_characters(app: Running) -> None:
    for query in ('"', "' OR 1=1", "NEAR(a b)", "*", "a:b", "ünïcode", "😀", "_", "²", "{x}"):
        response = await app.http.get("/api/threads/search", params={"q": query})
        assert response.status_code == 200, query


async def test_each_user_finds_only_their_own_messages(database: Database) -> None:
    for name in ODD_NAMES:
        await _save(database, name, f"the secret of number {ODD_NAMES.index(name)}")

    for name in ODD_NAMES:
        found = await _find(database, name, "secret")
        assert found == [f"the secret of number {ODD_NAMES.index(name)}"], name


async def test_a_users_name_does_not_match_as_a_word(database: Database) -> None:
    await _save(database, "alice", "hello world")

    assert await _find(database, "alice", "alice user") == []


async def test_a_frequent_word_does_not_hide_a_rare_one(database: Database) -> None:
    newer = [f"the weather of day {number}" for number in range(2 * CANDIDATES)]
    await _save(database, "ada", "the zebra", *newer)

    assert (await _find(database, "ada", "the zebra"))[0] == "the zebra"
    assert len(await _find(database, "ada", "the", limit=2 * CANDIDATES)) == CANDIDATES


async def test_messages_with_all_words_are_found_behind_newer_partial_matches(
    database: Database,
) -> None:
    newer = [word for word in ("black", "coffee") for _ in range(2 * CANDIDATES)]
    await _save(database, "ada", "black coffee", *newer)

    assert (await _find(database, "ada", "coffee, black"))[0] == "black coffee"
