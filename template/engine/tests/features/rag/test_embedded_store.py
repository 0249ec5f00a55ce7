"""The embedded store is exact, sees changes by other processes, and limits its memory."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features.rag.corpus import (
    ADA,
    DIMENSIONS,
    EMBEDDER,
    EVE,
    Corpus,
    embedded,
    fill,
    open_corpus,
    random_vectors,
    unit,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.store import SHARED
from chatkit_engine.settings.core import Settings

NORTH, EAST = unit(1), unit(0, 1)
OWNERS = (SHARED, ADA, EVE)
DOCUMENTS = ("a", "b", "c")
KEEP = st.tuples(
    st.sampled_from(OWNERS), st.sampled_from(DOCUMENTS), st.integers(0, 6), st.integers(0, 99)
)
ASK = st.tuples(
    st.sampled_from((ADA, EVE)),
    st.integers(1, 12),
    st.none() | st.sets(st.sampled_from(OWNERS), max_size=2),
)


@pytest.fixture
async def corpus(each_database: Settings) -> AsyncGenerator[Corpus]:
    async with open_corpus(each_database, embedded) as corpus:
        yield corpus


@pytest.fixture
async def other(each_database: Settings, corpus: Corpus) -> AsyncGenerator[Corpus]:
    """Another process's store on the same database."""
    async with open_corpus(each_database, embedded) as other:
        yield other


async def test_changes_by_another_process_are_found(corpus: Corpus, other: Corpus) -> None:
    async def found() -> list[str]:
        [matches] = await other.store.search(ADA, NORTH, 10)
        return [match.chunk_id for match in matches]

    await corpus.keep(ADA, "doc", {"first": NORTH, "second": EAST})
    assert await found() == ["first", "second"]

    await corpus.keep(ADA, "more", {"third": unit(3, 1)})
    assert await found() == ["first", "third", "second"]

    await corpus.keep(ADA, "doc", {"second": EAST})
    assert await found() == ["third", "second"]

    await corpus.remove(ADA, "more")
    assert await found() == ["second"]


async def test_erased_and_new_documents_of_an_owner_are_told_apart(
    corpus: Corpus, other: Corpus
) -> None:
    await corpus.keep(ADA, "doc", {"old": NORTH})
    assert await other.find(ADA, NORTH) == ["old"]

    await corpus.database.write(
        lambda connection: [
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 (names)
            for table in ("rag_chunks", "rag_documents", "rag_libraries")
        ]
    )
    await corpus.keep(ADA, "doc", {"new": EAST})

    [found] = await other.store.search(ADA, NORTH, 10)
    assert [match.chunk_id for match in found] == ["new"]


async def test_another_embedders_vectors_are_not_compared(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"ours": EAST})
    await Corpus(corpus.database, corpus.store, "another").keep(ADA, "other", {"theirs": NORTH})

    assert await corpus.find(ADA, NORTH) == ["ours"]


@pytest.mark.parametrize("max_bytes", [0, 30 * DIMENSIONS * 4, 50 * DIMENSIONS * 4])
async def test_results_are_right_when_memory_is_too_small(corpus: Corpus, max_bytes: int) -> None:
    small = EmbeddedStore(corpus.database, EMBEDDER, DIMENSIONS, max_bytes)
    corpus = Corpus(corpus.database, small)
    for number, owner in enumerate((SHARED, ADA, EVE, "mallory")):
        await fill(corpus, owner, 20, number)

    for _ in range(2):
        for number, owner in enumerate((ADA, EVE, "mallory"), start=1):
            all_of_it = np.concatenate([random_vectors(20, 0), random_vectors(20, number)])
            similarities = sorted((all_of_it @ NORTH[0]).tolist(), reverse=True)
            found = await corpus.search(owner, NORTH, 50)
            assert [match.similarity for match in found] == pytest.approx(similarities, abs=1e-5)


async def test_concurrent_searches_load_the_vectors_once_and_agree(
    corpus: Corpus, other: Corpus
) -> None:
    await fill(corpus, ADA, 1200, seed=1)
    await fill(corpus, SHARED, 1000, seed=2)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    # SQLite has an engine of its own for reading.
    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = await asyncio.gather(*(other.store.search(ADA, NORTH, 20) for _ in range(8)))
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(found[0][0]) == 20
    assert all(each == found[0] for each in found)
    reads = [each for each in statements if "rag_chunks.embedding" in each]
    assert len(reads) == 3 + 3, "a chunk has 500 chunks, and the last one fewer"


def test_it_finds_the_same_as_an_exhaustive_comparison(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    asyncio.run(_migrate(empty))
    names = count()

    @settings(max_examples=30)
    @given(st.lists(st.tuples(KEEP, ASK), min_size=1, max_size=8))
    def holds(steps: Sequence[tuple[tuple[str, str, int, int], tuple[str, int, set[str]]]]) -> None:
        path = tmp_path / f"{next(names)}.db"
        shutil.copy(empty, path)
        asyncio.run(_follow(path, steps))

    holds()


async def _migrate(path: Path) -> None:
    async with open_corpus(Settings(database_url=f"sqlite:///{path}"), embedded):
        pass


async def _follow(
    path: Path,
    steps: Sequence[tuple[tuple[str, str, int, int], tuple[str, int, set[str] | None]]],
) -> None:
    """Change documents and search, and compare each search with what is known to be there."""
    known: dict[tuple[str, str], dict[str, Matrix]] = {}
    async with open_corpus(Settings(database_url=f"sqlite:///{path}"), embedded) as corpus:
        for number, (keep, ask) in enumerate(steps):
            owner, name, size, seed = keep
            document = f"{owner}:{name}"
            vectors = random_vectors(max(size, 1), seed)
            chunks = {f"{document}:{number}:{row}": vectors[[row]] for row in range(size)}
            if chunks:
                await corpus.keep(owner, document, chunks)
            else:
                await corpus.remove(owner, document)
            known[owner, document] = chunks
            await _compare(corpus, known, ask, random_vectors(1, seed + 1000))


async def _compare(
    corpus: Corpus,
    known: dict[tuple[str, str], dict[str, Matrix]],
    ask: tuple[str, int, set[str] | None],
    query: Matrix,
) -> None:
    user, limit, of_owners = ask
    within = None
    if of_owners is not None:
        within = [document for owner, document in known if owner in of_owners]
    expected = {
        chunk_id: float(vector[0] @ query[0])
        for (owner, document), chunks in known.items()
        if owner in (user, SHARED) and (within is None or document in within)
        for chunk_id, vector in chunks.items()
    }
    best = sorted(expected.values(), reverse=True)[:limit]
    [found] = await corpus.store.search(user, query, limit, within)
    assert [match.similarity for match in found] == pytest.approx(best, abs=1e-5)
    for match in found:
        assert match.similarity == pytest.approx(expected[match.chunk_id], abs=1e-5)
