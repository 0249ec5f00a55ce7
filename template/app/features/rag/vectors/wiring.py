"""The vector store that the settings ask for, and its place in the application."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from app.builder import Builder
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.settings import RagSettings, wrong_setting
from app.features.rag.vectors import pgvector_tables
from app.features.rag.vectors.contract import VectorStore
from app.features.rag.vectors.embedded import EmbeddedStore
from app.features.rag.vectors.pgvector import PgvectorStore
from app.store.engine import Database


def create_vector_store(
    settings: RagSettings, database: Database, embedder: Embedder
) -> VectorStore:
    """Return the store, which is not connected to anything yet.

    Raises:
        ValidationError: the database has no such vectors.
    """
    match settings.vector_store:
        case "embedded":
            return EmbeddedStore(database, embedder.name, embedder.dimensions)
        case "pgvector":
            if database.url.get_backend_name() != "postgresql":
                raise wrong_setting(
                    "vector_store",
                    "pgvector needs PostgreSQL: set DATABASE_URL, or VECTOR_STORE=embedded",
                )
            return PgvectorStore(database, embedder.name, embedder.dimensions)
        case "qdrant":
            return _create_qdrant_store(settings, embedder)


def add_vector_store(builder: Builder, settings: RagSettings, embedder: Embedder) -> VectorStore:
    """Return the store; have it closed at the end, and a user's vectors erased with the user.

    Its tables refer to the documents' ones, whose migrations must be added before.
    """
    store = create_vector_store(settings, builder.database, embedder)

    @asynccontextmanager
    async def closed() -> AsyncGenerator[None]:
        async with aclosing(store):
            yield

    if settings.vector_store == "pgvector":
        builder.add_migrations(pgvector_tables.MIGRATIONS)
    builder.add_eraser(store.remove_user)
    builder.add_resource(closed)
    return store


def _create_qdrant_store(settings: RagSettings, embedder: Embedder) -> VectorStore:
    # Its client takes a second to import.
    from app.features.rag.vectors.qdrant import QdrantStore, connect  # noqa: PLC0415

    url, key = str(settings.qdrant_url), settings.qdrant_api_key
    client = connect(url, key.get_secret_value() if key else None)
    return QdrantStore(client, embedder.name, embedder.dimensions, settings.qdrant_collections, url)
