"""Tests the full-text search over documents on each database."""

from collections.abc import AsyncGenerator

import pytest

from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.fulltext import WordHits, find_words
from chatkit_engine.features.rag.rows import ChunkRow, Document
from chatkit_engine.features.rag.tables import MIGRATIONS
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.migrate import CORE, upgrade

SHARED, ADA, EVE = "", "ada", "eve"
LIMIT = 10


@pytest.fixture
async def database(each_database: Settings) -> AsyncGenerator[Database]:
    database = open_database(each_database)
    await upgrade(database, [CORE, MIGRATIONS])
    yield database
    await database.aclose()


async def _keep(database: Database, owner: str, *texts: str, publish: bool = True) -> str:
    """Keep a document of these texts, as chunks with the ids `owner 0` and so on."""
    document = Document(owner, new_id("doc"), "docs", new_id("src"), "Title", content_hash="x")
    chunks = [
        ChunkRow(f"{owner} {number} {document.id}", number, "Heading", "", text, str(number), b"")
        for number, text in enumerate(texts)
    ]
    await database.write(rows.stage, document, chunks, "none")
    if publish:
        positions = {chunk.id: chunk.position for chunk in chunks}
        await database.write(rows.publish, document, positions)
    return document.id


async def _texts(
    database: Database, user: str, query: str, within: list[str] | None = None
) -> list[str]:
    [hits] = await database.read(find_words, user, [query], LIMIT, within)
    found = await database.read(rows.load_passages, user, list(hits.chunk_ids))
    assert len(found) == len(hits.chunk_ids)
    return [found[chunk_id].text for chunk_id in hits.chunk_ids]


async def test_chunks_with_more_of_the_words_come_first(database: Database) -> None:
    await _keep(database, SHARED, "red apple pie", "red apple", "green apple", "nothing")

    found = await _texts(database, ADA, "red apple pie")

    assert found[:2] == ["red apple pie", "red apple"]
    assert "nothing" not in found


async def test_a_user_finds_only_their_own_and_shared_chunks(database: Database) -> None:
    await _keep(database, SHARED, "a shared apple")
    await _keep(database, ADA, "an apple of Ada's")
    await _keep(database, EVE, "an apple of Eve's")

    assert set(await _texts(database, ADA, "apple")) == {"a shared apple", "an apple of Ada's"}
    assert await _texts(database, "'; --", "apple") == ["a shared apple"]


async def test_unpublished_chunks_are_not_found(database: Database) -> None:
    await _keep(database, SHARED, "an early apple", publish=False)

    assert await _texts(database, ADA, "apple") == []


async def test_a_scope_limits_the_documents(database: Database) -> None:
    first = await _keep(database, SHARED, "one apple")
    await _keep(database, SHARED, "another apple")

    assert await _texts(database, ADA, "apple", [first]) == ["one apple"]
    assert await _texts(database, ADA, "apple", []) == []


async def test_deleted_chunks_are_not_found(database: Database) -> None:
    document = await _keep(database, ADA, "an apple")

    await database.write(rows.remove, ADA, document)

    assert await _texts(database, ADA, "apple") == []


@pytest.mark.parametrize("query", ["", "?!", '"', "a:b AND (c", "x" * 5000, "' OR 1=1", "apple*"])
async def test_a_query_is_never_read_as_search_syntax(database: Database, query: str) -> None:
    await _keep(database, SHARED, "an apple")

    found = await _texts(database, ADA, query)

    assert found == (["an apple"] if "apple" in query else [])


async def test_several_queries_are_answered_in_their_order(database: Database) -> None:
    await _keep(database, SHARED, "an apple", "a pear")

    hits = await database.read(find_words, ADA, ["pear", "grape", "apple"], LIMIT)

    assert [len(each.chunk_ids) for each in hits] == [1, 0, 1]
    assert hits[0].chunk_ids != hits[2].chunk_ids


async def test_a_rare_word_weighs_more_than_a_frequent_one(database: Database) -> None:
    await _keep(database, SHARED, *["an apple a day"] * 20, "a durian")

    [hits] = await database.read(find_words, ADA, ["the apple and the durian"], LIMIT)

    assert hits.coverage("one apple") < 0.5 < hits.coverage("(Durian)")
    assert hits.coverage("apple, durian") == 1
    assert hits.coverage("pineapple durians' apples") == hits.coverage("durian")
    assert WordHits([], {}).coverage("apple") == 0


async def test_adding_vectors_to_a_store_counts_as_a_change(database: Database) -> None:
    document = await _keep(database, ADA, "an apple")
    before = await database.read(rows.versions, ADA)

    await database.write(rows.mark_indexed, ADA, document, "a store")

    assert (await database.read(rows.versions, ADA))[ADA].version > before[ADA].version
