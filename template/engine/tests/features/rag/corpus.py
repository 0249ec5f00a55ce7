"""A corpus for tests: documents in a database and a vector store, as `ingest` puts them there."""

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
from qdrant_client import AsyncQdrantClient

from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.feature import MIGRATIONS
from chatkit_engine.features.rag.rows import ChunkRow, Document
from chatkit_engine.features.rag.vectors import pgvector_tables
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.qdrant import QdrantStore, connect
from chatkit_engine.features.rag.vectors.store import Match, Vectors, VectorStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, upgrade

# Read now, because settings are hidden while a test runs.
QDRANT_URL = os.environ.get("QDRANT_URL")
QDRANT_API_KEY = os.environ.get("QDRANT_API_KEY")

ADA, EVE = "ada", "eve"
EMBEDDER = "an embedder's name"
DIMENSIONS = 16
OpenStore = Callable[[Database], VectorStore]


def unit(*numbers: float) -> Matrix:
    """Return one vector of these numbers and zeros, scaled to unit length."""
    padded = np.zeros((1, DIMENSIONS), np.float32)
    padded[0, : len(numbers)] = numbers
    return normalized(padded)


def normalized(matrix: Any) -> Matrix:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / lengths).astype(np.float32)


def random_vectors(count: int, seed: int, dimensions: int = DIMENSIONS) -> Matrix:
    return normalized(np.random.default_rng(seed).normal(size=(count, dimensions)))


@dataclass
class Corpus:
    """A database with documents, and a store with their vectors."""

    database: Database
    store: VectorStore
    embedder: str = EMBEDDER

    async def keep(self, owner: str, document_id: str, vectors: Mapping[str, Matrix]) -> None:
        """Publish a document of chunks with these ids and vectors."""
        matrix = np.concatenate([*vectors.values()])
        await self.keep_matrix(owner, document_id, list(vectors), matrix)

    async def keep_matrix(
        self, owner: str, document_id: str, chunk_ids: Sequence[str], matrix: Matrix
    ) -> None:
        known = await self.database.read(rows.chunk_ids, owner, document_id)
        await self.stage(owner, document_id, chunk_ids, matrix, known)
        await self.store.add(Vectors(owner, document_id, chunk_ids, matrix))
        positions = {chunk_id: number for number, chunk_id in enumerate(chunk_ids)}
        document = _document(owner, document_id)
        lost = await self.database.write(rows.publish, document, positions)
        await self.store.remove(owner, lost)

    async def stage(
        self,
        owner: str,
        document_id: str,
        chunk_ids: Sequence[str],
        matrix: Matrix,
        known: Sequence[str] = (),
    ) -> None:
        pairs = enumerate(zip(chunk_ids, matrix, strict=True))
        rows_ = [
            ChunkRow(chunk_id, number, "", "", chunk_id, chunk_id, vector.astype("<f4").tobytes())
            for number, (chunk_id, vector) in pairs
            if chunk_id not in known
        ]
        document = _document(owner, document_id)
        await self.database.write(rows.stage, document, rows_, self.embedder)

    async def remove(self, owner: str, document_id: str) -> None:
        gone = await self.database.read(rows.chunk_ids, owner, document_id)
        await self.database.write(rows.remove, owner, document_id)
        await self.store.remove(owner, gone)

    async def search(
        self,
        user: str,
        query: Matrix,
        limit: int = 10,
        document_ids: Sequence[str] | None = None,
    ) -> list[Match]:
        """Return the store's matches for which the database has passages."""
        [matches] = await self.store.search(user, query, limit, document_ids)
        ids = [match.chunk_id for match in matches]
        passages = await self.database.read(rows.load_passages, user, ids)
        return [match for match in matches if match.chunk_id in passages]

    async def find(
        self,
        user: str,
        query: Matrix,
        limit: int = 10,
        document_ids: Sequence[str] | None = None,
    ) -> list[str]:
        return [match.chunk_id for match in await self.search(user, query, limit, document_ids)]


def _document(owner: str, document_id: str) -> Document:
    return Document(owner, document_id, "docs", document_id, "Title", content_hash="whole")


@asynccontextmanager
async def open_corpus(settings: Settings, open_store: OpenStore) -> AsyncGenerator[Corpus]:
    chains = [CORE, MIGRATIONS, pgvector_tables.MIGRATIONS]
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(aclosing(open_database(settings)))
        await upgrade(database, chains)
        store = await stack.enter_async_context(aclosing(open_store(database)))
        yield Corpus(database, store)


def embedded(database: Database) -> VectorStore:
    return EmbeddedStore(database, EMBEDDER, DIMENSIONS)


def pgvector(database: Database) -> VectorStore:
    return PgvectorStore(database, EMBEDDER, DIMENSIONS)


def local_qdrant(database: Database) -> VectorStore:
    return QdrantStore(AsyncQdrantClient(":memory:"), EMBEDDER, DIMENSIONS)


@asynccontextmanager
async def served_qdrant() -> AsyncGenerator[OpenStore]:
    """Yield a function that opens a store on the server at QDRANT_URL, in separate collections."""
    prefix = f"test-{uuid4().hex}"

    def open_store(database: Database) -> VectorStore:
        client = connect(str(QDRANT_URL), QDRANT_API_KEY)
        return QdrantStore(client, EMBEDDER, DIMENSIONS, prefix)

    yield open_store
    client = connect(str(QDRANT_URL), QDRANT_API_KEY)
    for collection in (await client.get_collections()).collections:
        if collection.name.startswith(prefix):
            await client.delete_collection(collection.name)
    await client.close()


async def fill(corpus: Corpus, owner: str, count: int, seed: int) -> None:
    """Publish a document of random vectors, with the ids `OWNER-0`, `OWNER-1` and so on."""
    name = owner or "shared"
    ids = [f"{name}-{number}" for number in range(count)]
    await corpus.keep_matrix(owner, f"{name} many", ids, random_vectors(count, seed))
