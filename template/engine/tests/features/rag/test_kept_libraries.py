"""Which owners' vectors stay in memory."""

from features.rag.shelf import ADA, DIMENSIONS, EVE, random_vectors
from support.logs import logged_by

from chatkit_engine.features.rag.rows import LibraryVersion
from chatkit_engine.features.rag.vectors import embedded as library
from chatkit_engine.features.rag.vectors.embedded import KeptLibraries, Library
from chatkit_engine.features.rag.vectors.store import SHARED

ROW = DIMENSIONS * 4
MALLORY = "mallory"


def _library(rows: int) -> Library:
    return Library(LibraryVersion(1, 1, 0), random_vectors(rows, 1))


def _kept(libraries: KeptLibraries) -> list[str]:
    return [owner for owner in (SHARED, ADA, EVE, MALLORY) if libraries.get(owner)]


def test_those_that_were_not_used_for_longest_go_first() -> None:
    libraries = KeptLibraries(max_bytes=30 * ROW)
    for owner in (ADA, EVE, MALLORY):
        libraries.keep(owner, _library(10))
    libraries.get(ADA)

    libraries.keep(SHARED, _library(10))

    assert _kept(libraries) == [SHARED, ADA, MALLORY]


def test_one_that_is_replaced_counts_once() -> None:
    libraries = KeptLibraries(max_bytes=30 * ROW)
    for owner in (ADA, EVE, EVE, EVE):
        libraries.keep(owner, _library(10))

    assert _kept(libraries) == [ADA, EVE]


def test_the_shared_one_and_the_last_one_stay_however_large_they_are() -> None:
    libraries = KeptLibraries(max_bytes=10 * ROW)
    with logged_by(library) as logged:
        libraries.keep(SHARED, _library(100))
        for owner in (ADA, EVE):
            libraries.keep(owner, _library(5))

    assert _kept(libraries) == [SHARED, EVE]
    assert ["use pgvector or Qdrant" in entry["event"] for entry in logged] == [True]


def test_one_that_is_dropped_is_gone() -> None:
    libraries = KeptLibraries(max_bytes=30 * ROW)
    libraries.keep(ADA, _library(1))
    libraries.drop(ADA)
    libraries.drop(EVE)

    assert _kept(libraries) == []
