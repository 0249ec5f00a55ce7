"""Tests what only pgvector has: an extension, an index and its own migrations."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest
import typer
from features.rag.corpus import (
    ADA,
    EVE,
    Corpus,
    fill,
    normalized,
    open_corpus,
    pgvector,
    random_vectors,
    unit,
)
from sqlalchemy import make_url
from support.sql import run_sql

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.feature import MIGRATIONS
from chatkit_engine.features.rag.vectors import pgvector_tables
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.store import SHARED, Vectors
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import CORE, pending, upgrade
from chatkit_engine.store.transfer import transfer
from chatkit_engine.store.user_data import erase_user, every_row, export_user
from chatkit_engine.terminal import run_async
from chatkit_engine.testing.postgres import Postgres

pytestmark = pytest.mark.slow

CHAINS = [CORE, MIGRATIONS, pgvector_tables.MIGRATIONS]
NORTH, EAST = unit(1), unit(0, 1)
SCANS = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname ~ 'vectors_[0-9a-f]{16}'"
INDEXES = "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"


@pytest.fixture
async def corpus(postgres_url: str) -> AsyncGenerator[Corpus]:
    async with open_corpus(Settings(database_url=postgres_url), pgvector) as corpus:
        yield corpus


@pytest.fixture
async def by_index(postgres: Postgres, postgres_url: str) -> AsyncGenerator[Corpus]:
    """A corpus whose database prefers the index to comparing everything, as with many rows."""
    name = make_url(postgres_url).database
    postgres.server.psql(f"ALTER DATABASE {name} SET enable_sort = off")
    async with open_corpus(Settings(database_url=postgres_url), pgvector) as corpus:
        yield corpus
        await corpus.database.read(run_sql, "SELECT pg_stat_force_next_flush()")
        [(scans,)] = await corpus.database.read(run_sql, SCANS)
        assert scans > 0


async def test_the_index_misses_hardly_any_of_the_nearest(by_index: Corpus) -> None:
    dimensions, limit = 384, 50
    matrix, queries = _like_texts(2000, dimensions), _like_texts(20, dimensions)
    store = PgvectorStore(by_index.database, "wide", dimensions)
    corpus = Corpus(by_index.database, store, "wide")
    await corpus.keep_matrix(SHARED, "doc", [str(number) for number in range(2000)], matrix)

    found = await store.search(ADA, queries, limit)

    nearest = (-(queries @ matrix.T)).argsort(axis=1)[:, :limit].tolist()
    hits = [
        len({match.chunk_id for match in matches} & set(map(str, best)))
        for matches, best in zip(found, nearest, strict=True)
    ]
    assert sum(hits) / (limit * len(hits)) >= 0.95


async def test_the_index_finds_all_of_a_few_chunks_among_many(by_index: Corpus) -> None:
    await fill(by_index, SHARED, 2000, seed=1)
    await fill(by_index, EVE, 2000, seed=2)
    query = random_vectors(1, 3)
    mine = np.concatenate([query, query, query])
    await by_index.keep_matrix(ADA, "hers", ["one", "two", "three"], mine)

    assert set(await by_index.find(ADA, query, 3)) == {"one", "two", "three"}
    assert set(await by_index.find(ADA, -query, 5, ["hers"])) == {"one", "two", "three"}
    assert len(await by_index.find(EVE, query, 1000)) == 1000


@pytest.mark.parametrize(
    ("dimensions", "operators"), [(3072, "halfvec_ip_ops"), (4096, None)], ids=str
)
async def test_long_vectors_are_indexed_in_half_precision_or_not_at_all(
    corpus: Corpus, dimensions: int, operators: str | None
) -> None:
    store = PgvectorStore(corpus.database, "long", dimensions)
    matrix = random_vectors(30, 1, dimensions)
    await Corpus(corpus.database, store, "long").keep_matrix(
        ADA, "doc", [str(number) for number in range(30)], matrix
    )

    [found] = await store.search(ADA, matrix[[7]], 3)

    assert found[0].chunk_id == "7"
    assert found[0].similarity == pytest.approx(1, abs=1e-5)
    indexes = await corpus.database.read(run_sql, INDEXES)
    assert [operators in str(index) for (index,) in indexes if operators] == [True] * len(indexes)
    assert len(indexes) == (1 if operators else 0)


async def test_concurrent_processes_create_one_index(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"first": NORTH})
    stores = [PgvectorStore(corpus.database, "fresh", 16) for _ in range(5)]

    vectors = Vectors(ADA, "doc", ["first"], NORTH)
    await asyncio.gather(*(store.add(vectors) for store in stores))

    assert len(await corpus.database.read(run_sql, INDEXES)) == 2


async def test_a_role_that_may_not_create_an_index_adds_and_searches(
    corpus: Corpus, postgres: Postgres, postgres_url: str
) -> None:
    _create_plain_role(postgres, "writer", make_url(postgres_url).database)
    await corpus.database.write(
        run_sql, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer"
    )
    await corpus.database.write(run_sql, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer")
    settings = Settings(database_url=_as_user(postgres_url, "writer"))
    async with aclosing(open_database(settings)) as database:
        limited = Corpus(database, pgvector(database))
        await limited.keep(ADA, "doc", {"north": NORTH, "east": EAST})
        assert await limited.find(ADA, NORTH) == ["north", "east"]


async def test_vectors_are_deleted_with_their_chunks(corpus: Corpus) -> None:
    await corpus.keep(ADA, "doc", {"north": NORTH})

    await corpus.database.write(run_sql, "DELETE FROM rag_chunks")

    assert await corpus.store.search(ADA, NORTH, 10) == [[]]


async def test_export_and_erase_cover_the_vectors(corpus: Corpus) -> None:
    blobs = Blobs(Settings())
    await corpus.keep(ADA, "hers", {"ada's": NORTH})
    await corpus.keep(EVE, "eves", {"eve's": EAST})

    lines = [
        json.loads(line) async for line in await export_user(corpus.database, blobs, ADA, every_row)
    ]
    erased = await erase_user(corpus.database, blobs, ADA, [], wipe=True)

    rows = [line["row"] for line in lines if line.get("table") == "rag_vectors"]
    assert [row["chunk_id"] for row in rows] == ["ada's"]
    assert rows[0]["embedding"].startswith("[1,0,0")
    assert erased["rag_vectors"] == 1
    assert await corpus.find(EVE, EAST) == ["eve's"]
    await blobs.aclose()


async def test_a_project_moves_from_sqlite_without_the_vectors_table(
    file_settings: Settings, postgres_url: str
) -> None:
    async with open_corpus(file_settings, pgvector) as old:
        assert await pending(old.database, CHAINS) == []
        await old.stage(ADA, "doc", ["chunk"], NORTH)
        async with aclosing(open_database(Settings(database_url=postgres_url))) as new:
            copied = await transfer(old.database, new, CHAINS)
            tables = await new.read(run_sql, "SELECT count(*) FROM rag_vectors")

    assert copied["rag_chunks"] == 1
    assert "rag_vectors" not in copied
    assert tables == [(0,)]


async def test_vectors_of_unknown_chunks_are_ignored(corpus: Corpus) -> None:
    await corpus.store.add(Vectors(ADA, "doc", ["unknown"], NORTH))

    assert await corpus.store.search(ADA, NORTH, 10) == [[]]


@pytest.mark.parametrize(
    ("stand_in", "advice"),
    [
        ("pg_available_extensions (name text, default_version text)", "Install pgvector"),
        ("pg_extension (extname text, extversion text)", "ALTER EXTENSION vector UPDATE"),
    ],
    ids=["missing", "old"],
)
def test_a_server_without_the_extension_is_refused_in_one_line(
    postgres: Postgres,
    postgres_url: str,
    capsys: pytest.CaptureFixture[str],
    stand_in: str,
    advice: str,
) -> None:
    """A table in front of the catalogue's stands for a server that has none, or an old one."""
    name = make_url(postgres_url).database
    _sql(postgres_url, f"CREATE TABLE public.{stand_in}")
    _sql(postgres_url, _OLD if "extversion" in stand_in else "SELECT 1")
    postgres.server.psql(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")

    with pytest.raises(typer.Exit):
        run_async(_upgrade(postgres_url))

    told = capsys.readouterr().err
    assert advice in told
    assert told.count("\n") == 1


def test_a_role_that_may_not_create_the_extension_gets_a_message(
    postgres: Postgres, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _create_plain_role(postgres, "owner", make_url(postgres_url).database)

    with pytest.raises(typer.Exit):
        run_async(_upgrade(_as_user(postgres_url, "owner")))

    told = capsys.readouterr().err
    assert "CREATE EXTENSION vector" in told
    assert told.count("\n") == 1


_OLD = "INSERT INTO public.pg_extension VALUES ('vector', '0.7.4')"


async def _upgrade(url: str) -> None:
    async with aclosing(open_database(Settings(database_url=url))) as database:
        await upgrade(database, CHAINS)


def _sql(url: str, statement: str) -> None:
    async def execute() -> None:
        async with aclosing(open_database(Settings(database_url=url))) as database:
            await database.write(run_sql, statement)

    asyncio.run(execute())


def _like_texts(count: int, dimensions: int) -> Matrix:
    """Return vectors of which most lies in a few directions, as with texts."""
    basis = np.random.default_rng(1).normal(size=(32, dimensions))
    weights, noise = random_vectors(count, count, 32), random_vectors(count, count + 1, dimensions)
    return normalized(normalized(weights @ basis) + 0.3 * noise)


def _create_plain_role(postgres: Postgres, role: str, database: str | None) -> None:
    postgres.server.psql(f"CREATE ROLE {role} LOGIN")
    if role == "owner":
        postgres.server.psql(f"ALTER DATABASE {database} OWNER TO {role}")


def _as_user(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)
