"""What every vector store does: one suite for all of them."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from features.rag.shelf import (
    ADA,
    EVE,
    QDRANT_URL,
    Shelf,
    embedded,
    fill,
    local_qdrant,
    open_shelf,
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
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Shelf]:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/chat.db")
    if request.param == SERVED:
        async with served_qdrant() as open_store, open_shelf(settings, open_store) as shelf:
            yield shelf
            return
    if request.param in ON_POSTGRESQL:
        settings = Settings(database_url=request.getfixturevalue("postgres_url"))
    async with open_shelf(settings, (ON_SQLITE | ON_POSTGRESQL)[request.param]) as shelf:
        yield shelf


async def test_the_nearest_comes_first_with_its_cosine(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"east": EAST, "north": NORTH, "between": unit(1, 1)})
    await shelf.keep(SHARED, "other", {"south": unit(-1), "nearly": unit(2, 1)})

    found = await shelf.search(ADA, NORTH)

    names = [match.chunk_id for match in found]
    assert names == ["north", "nearly", "between", "east", "south"]
    cosines = [match.similarity for match in found]
    assert cosines == pytest.approx([1, 2 / 5**0.5, 0.5**0.5, 0, -1], abs=1e-5)


async def test_nothing_is_found_where_nothing_was_added(shelf: Shelf) -> None:
    assert await shelf.store.search(ADA, random_vectors(2, 0), 5) == [[], []]
    await shelf.store.remove(ADA, ["unknown"])
    await shelf.store.remove_user(ADA)


async def test_no_more_than_the_limit_is_found(shelf: Shelf) -> None:
    await fill(shelf, SHARED, 20, seed=1)
    await fill(shelf, ADA, 20, seed=2)

    for limit in (1, 7, 40):
        assert len(await shelf.find(ADA, NORTH, limit)) == limit
    assert len(await shelf.find(ADA, NORTH, 50)) == 40


async def test_several_queries_are_answered_in_their_order(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"north": NORTH})
    await shelf.keep(SHARED, "other", {"east": EAST})

    queries = np.concatenate([EAST, NORTH, EAST])
    found = await shelf.store.search(ADA, queries, 1)

    assert [[match.chunk_id for match in each] for each in found] == [["east"], ["north"], ["east"]]


async def test_a_document_that_changes_is_found_as_it_is_now(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"first": NORTH, "stays": EAST})
    await shelf.find(ADA, NORTH)

    await shelf.keep(ADA, "doc", {"stays": EAST, "second": unit(1, 0.1)})

    assert await shelf.find(ADA, NORTH) == ["second", "stays"]


async def test_what_is_removed_is_not_found(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"gone": NORTH})
    await shelf.keep(ADA, "other", {"stays": EAST})
    assert await shelf.find(ADA, NORTH) == ["gone", "stays"]

    await shelf.remove(ADA, "doc")

    assert await shelf.find(ADA, NORTH) == ["stays"]
    [matches] = await shelf.store.search(ADA, NORTH, 10)
    assert [match.chunk_id for match in matches] == ["stays"]


async def test_what_is_staged_is_not_found(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"known": EAST})

    await shelf.stage(ADA, "doc", ["staged"], NORTH)
    await shelf.stage(SHARED, "other", ["staged too"], NORTH)

    assert await shelf.find(ADA, NORTH) == ["known"]


async def test_what_is_added_once_more_is_found_once(shelf: Shelf) -> None:
    await shelf.keep(ADA, "doc", {"north": NORTH, "east": EAST})

    await shelf.store.add(Vectors(ADA, "doc", ["north", "east"], np.concatenate([NORTH, EAST])))

    assert await shelf.find(ADA, NORTH) == ["north", "east"]


async def test_only_the_wanted_documents_are_searched(shelf: Shelf) -> None:
    for owner, name in ((ADA, "a"), (ADA, "b"), (SHARED, "c"), (SHARED, "d")):
        await shelf.keep(owner, name, {f"{name}1": unit(1, ord(name)), f"{name}2": EAST})

    assert await shelf.find(ADA, NORTH, 10, []) == []
    assert await shelf.find(ADA, NORTH, 10, ["unknown"]) == []
    assert set(await shelf.find(ADA, NORTH, 10, ["a"])) == {"a1", "a2"}
    assert set(await shelf.find(ADA, NORTH, 10, ["b", "c", "x"])) == {"b1", "b2", "c1", "c2"}
    assert await shelf.find(ADA, NORTH, 1, ["d", "c"]) == ["c1"]


async def test_the_shared_is_found_by_all_and_a_users_own_by_nobody_else(shelf: Shelf) -> None:
    await shelf.keep(SHARED, "all", {"shared": EAST})
    await shelf.keep(ADA, "hers", {"ada's": NORTH})
    await shelf.keep(EVE, "eves", {"eve's": NORTH})

    assert await shelf.find(ADA, NORTH) == ["ada's", "shared"]
    assert await shelf.find(EVE, NORTH) == ["eve's", "shared"]
    assert await shelf.find("mallory", NORTH) == ["shared"]
    assert await shelf.find(SHARED, NORTH) == ["shared"]
    assert await shelf.find(EVE, NORTH, 10, ["hers"]) == []


@pytest.mark.parametrize("stranger", HOSTILE)
async def test_a_strange_user_id_finds_and_removes_its_own_alone(
    shelf: Shelf, stranger: str
) -> None:
    await shelf.keep(ADA, "hers", {"ada's": NORTH})
    await shelf.keep(stranger, "odd", {"odd": EAST})

    await shelf.store.remove(stranger, ["ada's"])

    [found] = await shelf.store.search(stranger, NORTH, 10)
    [within] = await shelf.store.search(stranger, NORTH, 10, ["hers", "odd"])
    assert [match.chunk_id for match in found] == ["odd"]
    assert [match.chunk_id for match in within] == ["odd"]
    await shelf.store.remove_user(stranger)
    assert await shelf.find(ADA, NORTH) == ["ada's"]


async def test_nothing_of_a_user_is_left_to_others_after_it_was_removed(shelf: Shelf) -> None:
    await shelf.keep(ADA, "hers", {"ada's": NORTH})
    await shelf.remove(ADA, "hers")
    await shelf.stage(ADA, "hers", ["staged"], NORTH)
    await shelf.keep(EVE, "eves", {"eve's": EAST})

    [found] = await shelf.store.search(EVE, NORTH, 10)
    [within] = await shelf.store.search(EVE, NORTH, 10, ["hers"])

    assert [match.chunk_id for match in found] == ["eve's"]
    assert within == []


async def test_a_user_cannot_take_over_anothers_chunk(shelf: Shelf) -> None:
    await shelf.keep(ADA, "hers", {"ada's": NORTH})

    await shelf.store.add(Vectors(EVE, "eves", ["ada's"], EAST))

    [mine] = await shelf.search(ADA, NORTH)
    assert mine.chunk_id == "ada's"
    assert mine.similarity == pytest.approx(1, abs=1e-5)
    assert await shelf.find(EVE, NORTH) == []


async def test_a_few_chunks_among_many_are_all_found(shelf: Shelf) -> None:
    await fill(shelf, SHARED, 2000, seed=1)
    await fill(shelf, EVE, 2000, seed=2)
    query = random_vectors(1, 3)
    mine = np.concatenate([query, query, query])
    await shelf.keep_matrix(ADA, "hers", ["one", "two", "three"], mine)

    assert set(await shelf.find(ADA, query, 3)) == {"one", "two", "three"}
    assert set(await shelf.find(ADA, -query, 5, ["hers"])) == {"one", "two", "three"}
    assert len(await shelf.find(ADA, -query, 50)) == 50


async def test_adding_and_searching_at_once_ends_with_all_of_it(shelf: Shelf) -> None:
    async def add(number: int) -> None:
        await shelf.keep(ADA, f"doc {number}", {f"chunk {number}": random_vectors(1, number)})

    async def search() -> list[str]:
        return await shelf.find(ADA, NORTH, 50)

    await asyncio.gather(*(add(number) for number in range(20)), *(search() for _ in range(20)))

    assert set(await search()) == {f"chunk {number}" for number in range(20)}


async def test_an_erased_user_leaves_nothing_and_starts_anew(shelf: Shelf) -> None:
    blobs = Blobs(Settings())
    await shelf.keep(ADA, "hers", {"first": NORTH, "second": EAST})
    await shelf.keep(EVE, "eves", {"eve's": EAST})
    await shelf.find(ADA, NORTH)

    erasers = [shelf.store.remove_user]
    erased = await erase_user(shelf.database, blobs, ADA, erasers, wipe=False)
    [left] = await shelf.store.search(ADA, NORTH, 10)
    await shelf.keep(ADA, "new", {"third": EAST})
    [anew] = await shelf.store.search(ADA, NORTH, 10)

    assert erased["rag_chunks"] == 2
    assert left == []
    assert [match.chunk_id for match in anew] == ["third"]
    assert await shelf.find(EVE, NORTH) == ["eve's"]
    await blobs.aclose()
