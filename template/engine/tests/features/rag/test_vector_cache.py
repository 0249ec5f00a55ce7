"""Tests which owners' vectors stay in memory."""

from features.rag.corpus import ADA, DIMENSIONS, EVE, random_vectors
from support.logs import logged_by

from chatkit_engine.features.rag.rows import LibraryVersion
from chatkit_engine.features.rag.vectors import embedded
from chatkit_engine.features.rag.vectors.embedded import OwnerVectors, VectorCache
from chatkit_engine.features.rag.vectors.store import SHARED

ROW = DIMENSIONS * 4
MALLORY = "mallory"


def _vectors(rows: int) -> OwnerVectors:
    return OwnerVectors(LibraryVersion(1, 1, 0), random_vectors(rows, 1))


def _kept(cache: VectorCache) -> list[str]:
    return [owner for owner in (SHARED, ADA, EVE, MALLORY) if cache.get(owner)]


def test_the_least_recently_used_are_dropped_first() -> None:
    cache = VectorCache(max_bytes=30 * ROW)
    for owner in (ADA, EVE, MALLORY):
        cache.put(owner, _vectors(10))
    cache.get(ADA)

    cache.put(SHARED, _vectors(10))

    assert _kept(cache) == [SHARED, ADA, MALLORY]


def test_a_replaced_entry_counts_once() -> None:
    cache = VectorCache(max_bytes=30 * ROW)
    for owner in (ADA, EVE, EVE, EVE):
        cache.put(owner, _vectors(10))

    assert _kept(cache) == [ADA, EVE]


def test_the_shared_and_the_latest_vectors_stay_whatever_their_size() -> None:
    cache = VectorCache(max_bytes=10 * ROW)
    with logged_by(embedded) as logged:
        cache.put(SHARED, _vectors(100))
        for owner in (ADA, EVE):
            cache.put(owner, _vectors(5))

    assert _kept(cache) == [SHARED, EVE]
    assert ["use pgvector or Qdrant" in entry["event"] for entry in logged] == [True]


def test_a_dropped_entry_is_gone() -> None:
    cache = VectorCache(max_bytes=30 * ROW)
    cache.put(ADA, _vectors(1))
    cache.drop(ADA)
    cache.drop(EVE)

    assert _kept(cache) == []
