"""Tests the setting of the vector store, and the errors for invalid combinations."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from features.rag.corpus import ADA, DIMENSIONS, EMBEDDER, EVE, Corpus, random_vectors, unit
from pydantic import SecretStr, ValidationError
from support.cli import cli
from typer.testing import CliRunner

from chatkit_engine.builder import Builder
from chatkit_engine.features.rag.components import add_vector_store
from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.feature import MIGRATIONS
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.security.links import Links
from chatkit_engine.settings.base import settings_errors
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.store.user_data import erase_user
from chatkit_engine.testing.ports import free_port

NORTH = unit(1)
SERVER = "http://127.0.0.1:6333"


@dataclass
class RandomEmbedder:
    """Embeds without sense: only its name and its dimensions are asked for here."""

    name: str = EMBEDDER
    dimensions: int = DIMENSIONS
    min_similarity: float = 0

    async def embed(self, texts: Any) -> Matrix:
        return random_vectors(len(texts), 1)

    async def aclose(self) -> None: ...


@asynccontextmanager
async def _built(database_url: str) -> AsyncGenerator[Builder]:
    settings = Settings(database_url=database_url)
    database, blobs = open_database(settings), Blobs(settings)
    builder = Builder("sample", settings, database, blobs, Links(settings))
    builder.add_migrations(MIGRATIONS)
    yield builder
    await blobs.aclose()
    await database.aclose()


async def _works(builder: Builder, store: VectorStore) -> None:
    """Keep, find and erase through what the builder has been given."""
    await upgrade(builder.database, [CORE, *builder.migrations])
    corpus = Corpus(builder.database, store)
    async with builder.resources():
        await corpus.keep(ADA, "hers", {"ada's": NORTH})
        await corpus.keep(EVE, "eves", {"eve's": NORTH})
        assert await corpus.find(ADA, NORTH) == ["ada's"]
        await erase_user(builder.database, builder.blobs, ADA, builder.erasers, wipe=False)
        assert await store.search(ADA, NORTH, 5) == [[]]
        assert await corpus.find(EVE, NORTH) == ["eve's"]


async def test_the_embedded_store_is_the_default() -> None:
    async with _built("sqlite:///:memory:") as builder:
        store = add_vector_store(builder, RagSettings(), RandomEmbedder())

        assert store.name == "embedded"
        assert builder.migrations == [MIGRATIONS]
        await _works(builder, store)


@pytest.mark.slow
async def test_pgvector_adds_its_tables(postgres_url: str) -> None:
    async with _built(postgres_url) as builder:
        settings = RagSettings(vector_store="pgvector")
        store = add_vector_store(builder, settings, RandomEmbedder())

        assert store.name == "pgvector"
        await _works(builder, store)


async def test_pgvector_on_sqlite_stops_the_start() -> None:
    async with _built("sqlite:///:memory:") as builder:
        with pytest.raises(ValidationError) as refused:
            add_vector_store(builder, RagSettings(vector_store="pgvector"), RandomEmbedder())

    advice = "pgvector needs PostgreSQL: set DATABASE_URL, or VECTOR_STORE=embedded"
    assert settings_errors(refused.value) == [f"VECTOR_STORE: {advice}"]


async def test_qdrant_is_not_contacted_before_its_first_use() -> None:
    async with _built("sqlite:///:memory:") as builder:
        settings = RagSettings(
            vector_store="qdrant", qdrant_url=SERVER, qdrant_api_key=SecretStr("a-secret-key")
        )
        store = add_vector_store(builder, settings, RandomEmbedder())
        async with builder.resources():
            pass

        assert store.name.startswith("qdrant ")
        assert "secret" not in f"{store.name}{vars(settings)}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"vector_store": "qdrant"}, f"needs QDRANT_URL, for example {SERVER}"),
        ({"qdrant_url": "qdrant:6333-hidden"}, "QDRANT_URL: must be a URL such as"),
        ({"qdrant_collections": "a/hidden"}, "QDRANT_COLLECTIONS: "),
        ({"vector_store": "hidden"}, "VECTOR_STORE: "),
    ],
)
def test_an_invalid_setting_is_reported_with_the_fix(values: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RagSettings.model_validate(values)

    [advice] = settings_errors(refused.value)
    assert told in advice
    assert "hidden" not in advice


@pytest.mark.parametrize("command", ["serve", "migrate", "doctor"])
def test_every_command_names_the_setting(command: str) -> None:
    result = CliRunner().invoke(cli, [command], env={"VECTOR_STORE": "pgvector"})

    assert result.exit_code == 1
    assert "VECTOR_STORE: pgvector needs PostgreSQL: set DATABASE_URL" in result.output
    assert "Traceback" not in result.output


def test_a_user_whose_vectors_cannot_be_erased_is_not_erased_at_all() -> None:
    away = {"VECTOR_STORE": "qdrant", "QDRANT_URL": f"http://127.0.0.1:{free_port()}"}
    CliRunner().invoke(cli, ["chat", "Remember the platypus"])

    erased = CliRunner().invoke(cli, ["erase", "--user", "local", "--yes"], env=away)

    assert erased.exit_code == 1
    assert "Try again later" in erased.output
    assert "platypus" in CliRunner().invoke(cli, ["export", "--user", "local"]).output
