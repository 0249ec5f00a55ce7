"""One suite of tests for every vector store."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from features.rag.corpus import (
    ADA,
    EVE,
    QDRANT_URL,
    Corpus,
    embedded,
    fill,
    local_qdrant,
    open_corpus,
    pgvector,
    random_vectors,
    served_qdrant,
    unit,
)

from chatkit_engine.features.rag.vectors.store import SHARED, Vectors
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.user_data import erase_user

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

ON_POSTGRESQL = {"embedded on PostgreSQL": embedded, "pgvector": pgvector}
ON_SQLITE = {"embedded": embedded, "local Qdrant": local_qdrant}
SERVED = "Qdrant"
NORTH, EAST = unit(1), unit(0, 1)
HOSTILE = (
    "' OR 1=1 --",
    "ad%",
    "_da",
    "\\",
    '"ada"',
    " ",
    "ada ",
    "ADA",
    "\u200b",
    "null",
    "{}",
    "ädä 🐙",
    "x" * 255,
)


@pytest.fixture(
    params=[
        *ON_SQLITE,
        *(pytest.param(name, marks=pytest.mark.slow) for name in ON_POSTGRESQL),
        *([SERVED] if QDRANT_URL else []),
    ]
)
async def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Corpus]:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/chat.db")
    if request.param == SERVED:
        async with served_qdrant() as open_store, open_corpus(settings, open_store) as corpus:
            yield corpus
            return
    if request.param in ON_POSTGRESQL:
        settings = Settings(database_url=request.getfixturevalue("postgres_url"))
    async with open_corpus(settings, (ON_SQLITE | ON_POSTGRESQL)[request.param]) as corpus:
        yield corpus


async def test_the_nearest_comes_first_with_its_cosine(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"east": EAST, "north": NORTH, "between": unit(1, 1)})
    await corpus.keep(SHARED, "other", {"south": unit(-1), "nearly": unit(2, 1)})

    found = await corpus.search(ADA, NORTH)

    names = [match.chunk_id for match in found]
    assert names == ["north", "nearly", "between", "east", "south"]
    cosines = [match.similarity for match in found]
    assert cosines == pytest.approx([1, 2 / 5**0.5, 0.5**0.5, 0, -1], abs=1e-5)


async def test_an_empty_store_finds_nothing(corpus: Corpus) -> None:
    assert await corpus.store.search(ADA, random_vectors(2, 0), 5) == [[], []]
    await corpus.store.remove(ADA, ["unknown"])
    await corpus.store.remove_user(ADA)


async def test_no_more_than_the_limit_is_found(corpus: Corpus) -> None:
    await fill(corpus, SHARED, 20, seed=1)
    await fill(corpus, ADA, 20, seed=2)

    for limit in (1, 7, 40):
        assert len(await corpus.find(ADA, NORTH, limit)) == limit
    assert len(await corpus.find(ADA, NORTH, 50)) == 40


async def test_several_queries_are_answered_in_their_order(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"north": NORTH})
    await corpus.keep(SHARED, "other", {"east": EAST})

    queries = np.concatenate([EAST, NORTH, EAST])
    found = await corpus.store.search(ADA, queries, 1)

    assert [[match.chunk_id for match in each] for each in found] == [["east"], ["north"], ["east"]]


async def test_a_changed_document_is_found_in_its_new_version(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"first": NORTH, "stays": EAST})
    await corpus.find(ADA, NORTH)

    await corpus.keep(ADA, "doc", {"stays": EAST, "second": unit(1, 0.1)})

    assert await corpus.find(ADA, NORTH) == ["second", "stays"]


async def test_removed_documents_are_not_found(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"gone": NORTH})
    await corpus.keep(ADA, "other", {"stays": EAST})
    assert await corpus.find(ADA, NORTH) == ["gone", "stays"]

    await corpus.remove(ADA, "doc")

    assert await corpus.find(ADA, NORTH) == ["stays"]
    [matches] = await corpus.store.search(ADA, NORTH, 10)
    assert [match.chunk_id for match in matches] == ["stays"]


async def test_staged_chunks_are_not_found(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"known": EAST})

    await corpus.stage(ADA, "doc", ["staged"], NORTH)
    await corpus.stage(SHARED, "other", ["staged too"], NORTH)

    assert await corpus.find(ADA, NORTH) == ["known"]


async def test_a_chunk_that_is_added_twice_is_found_once(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"north": NORTH, "east": EAST})

    await corpus.store.add(Vectors(ADA, "doc", ["north", "east"], np.concatenate([NORTH, EAST])))

    assert await corpus.find(ADA, NORTH) == ["north", "east"]


async def test_only_the_wanted_documents_are_searched(corpus: Corpus) -> None:
    for owner, name in ((ADA, "a"), (ADA, "b"), (SHARED, "c"), (SHARED, "d")):
        await corpus.keep(owner, name, {f"{name}1": unit(1, ord(name)), f"{name}2": EAST})

    assert await corpus.find(ADA, NORTH, 10, []) == []
    assert await corpus.find(ADA, NORTH, 10, ["unknown"]) == []
    assert set(await corpus.find(ADA, NORTH, 10, ["a"])) == {"a1", "a2"}
    assert set(await corpus.find(ADA, NORTH, 10, ["b", "c", "x"])) == {"b1", "b2", "c1", "c2"}
    assert await corpus.find(ADA, NORTH, 1, ["d", "c"]) == ["c1"]


async def test_everyone_finds_shared_documents_and_only_owners_find_their_own(
    corpus: Corpus,
) -> None:
    await corpus.keep(SHARED, "all", {"shared": EAST})
    await corpus.keep(ADA, "hers", {"ada's": NORTH})
    await corpus.keep(EVE, "eves", {"eve's": NORTH})

    assert await corpus.find(ADA, NORTH) == ["ada's", "shared"]
    assert await corpus.find(EVE, NORTH) == ["eve's", "shared"]
    assert await corpus.find("mallory", NORTH) == ["shared"]
    assert await corpus.find(SHARED, NORTH) == ["shared"]
    assert await corpus.find(EVE, NORTH, 10, ["hers"]) == []


@pytest.mark.parametrize("stranger", HOSTILE)
async def test_a_user_with_an_unusual_id_finds_and_removes_only_their_own_vectors(
    corpus: Corpus, stranger: str
) -> None:
    await corpus.keep(ADA, "hers", {"ada's": NORTH})
    await corpus.keep(stranger, "odd", {"odd": EAST})

    await corpus.store.remove(stranger, ["ada's"])

    [found] = await corpus.store.search(stranger, NORTH, 10)
    [within] = await corpus.store.search(stranger, NORTH, 10, ["hers", "odd"])
    assert [match.chunk_id for match in found] == ["odd"]
    assert [match.chunk_id for match in within] == ["odd"]
    await corpus.store.remove_user(stranger)
    assert await corpus.find(ADA, NORTH) == ["ada's"]


async def test_others_find_nothing_of_a_user_after_its_removal(corpus: Corpus) -> None:
    await corpus.keep(ADA, "hers", {"ada's": NORTH})
    await corpus.remove(ADA, "hers")
    await corpus.stage(ADA, "hers", ["staged"], NORTH)
    await corpus.keep(EVE, "eves", {"eve's": EAST})

    [found] = await corpus.store.search(EVE, NORTH, 10)
    [within] = await corpus.store.search(EVE, NORTH, 10, ["hers"])

    assert [match.chunk_id for match in found] == ["eve's"]
    assert within == []


async def test_a_user_cannot_take_over_anothers_chunk(corpus: Corpus) -> None:
    await corpus.keep(ADA, "hers", {"ada's": NORTH})

    await corpus.store.add(Vectors(EVE, "eves", ["ada's"], EAST))

    [mine] = await corpus.search(ADA, NORTH)
    assert mine.chunk_id == "ada's"
    assert mine.similarity == pytest.approx(1, abs=1e-5)
    assert await corpus.find(EVE, NORTH) == []


async def test_a_few_chunks_among_many_are_all_found(corpus: Corpus) -> None:
    await fill(corpus, SHARED, 2000, seed=1)
    await fill(corpus, EVE, 2000, seed=2)
    query = random_vectors(1, 3)
    mine = np.concatenate([query, query, query])
    await corpus.keep_matrix(ADA, "hers", ["one", "two", "three"], mine)

    assert set(await corpus.find(ADA, query, 3)) == {"one", "two", "three"}
    assert set(await corpus.find(ADA, -query, 5, ["hers"])) == {"one", "two", "three"}
    assert len(await corpus.find(ADA, -query, 50)) == 50


async def test_all_chunks_are_found_after_concurrent_adds_and_searches(corpus: Corpus) -> None:
    async def add(number: int) -> None:
        await corpus.keep(ADA, f"doc {number}", {f"chunk {number}": random_vectors(1, number)})

    async def search() -> list[str]:
        return await corpus.find(ADA, NORTH, 50)

    await asyncio.gather(*(add(number) for number in range(20)), *(search() for _ in range(20)))

    assert set(await search()) == {f"chunk {number}" for number in range(20)}


async def test_an_erased_user_leaves_nothing_and_can_start_again(corpus: Corpus) -> None:
    blobs = Blobs(Settings())
    await corpus.keep(ADA, "hers", {"first": NORTH, "second": EAST})
    await corpus.keep(EVE, "eves", {"eve's": EAST})
    await corpus.find(ADA, NORTH)

    erasers = [corpus.store.remove_user]
    erased = await erase_user(corpus.database, blobs, ADA, erasers, wipe=False)
    [left] = await corpus.store.search(ADA, NORTH, 10)
    await corpus.keep(ADA, "new", {"third": EAST})
    [anew] = await corpus.store.search(ADA, NORTH, 10)

    assert erased["rag_chunks"] == 2
    assert left == []
    assert [match.chunk_id for match in anew] == ["third"]
    assert await corpus.find(EVE, NORTH) == ["eve's"]
    await blobs.aclose()
