"""The vector store that the settings ask for, and its place in the application.

Which embedder the settings choose.

What the commands for documents need: the settings' embedder and store, and the database."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from chatkit_engine.builder import Builder
from chatkit_engine.errors import Conflict
from chatkit_engine.features.rag.embeddings.embedder import Embedder
from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.embeddings.openai import OpenAiEmbedder
from chatkit_engine.features.rag.settings import RagSettings, wrong_setting
from chatkit_engine.features.rag.tables import MIGRATIONS
from chatkit_engine.features.rag.vectors import pgvector_tables
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.models.client import create_client
from chatkit_engine.observability.logs import configure_logging, hide_secrets
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.providers import CUSTOM, OPENAI, Endpoint
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, Migrations, pending, upgrade
from chatkit_engine.terminal import Project, explain_settings_errors

LOCAL = "local"
DEFAULT_MODEL = "text-embedding-3-small"
MIN_SIMILARITY = 0.25
PATIENCE = 8


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
    from chatkit_engine.features.rag.vectors.qdrant import QdrantStore, connect  # noqa: PLC0415

    url, key = str(settings.qdrant_url), settings.qdrant_api_key
    client = connect(url, key.get_secret_value() if key else None)
    return QdrantStore(client, embedder.name, embedder.dimensions, settings.qdrant_collections, url)


class Model(NamedTuple):
    """What is known of a model: the length of its vectors, and the cosine that tells nothing."""

    dimensions: int | None
    min_similarity: float


def create_embedder(settings: RagSettings, core: Settings) -> Embedder:
    """Return the embedder: a model where one is named or OpenAI's key is there, else the local one.

    Raises:
        ValidationError: what the model needs is not set.
    """
    key = settings.embedding_api_key or core.openai_api_key
    is_model = settings.embedding_model or settings.embedding_base_url or key
    if not is_model or settings.embedding_model == LOCAL:
        return LocalEmbedder()
    endpoint = _endpoint(settings, core)
    model = endpoint.model or DEFAULT_MODEL
    known = MODELS.get(model, Model(None, MIN_SIMILARITY))
    dimensions = settings.embedding_dimensions or known.dimensions
    if dimensions is None:
        raise wrong_setting(
            "embedding_dimensions", "set it to the length of EMBEDDING_MODEL's vectors"
        )
    client = create_client(endpoint, core.llm_timeout_seconds)
    return OpenAiEmbedder(
        client.with_options(max_retries=core.llm_max_retries),
        model,
        dimensions,
        dimensions if known.dimensions not in (None, dimensions) else None,
        known.min_similarity,
    )


def _endpoint(settings: RagSettings, core: Settings) -> Endpoint:
    """Return where the model is. OpenAI's key goes to OpenAI, or to what stands in for it."""
    model = settings.embedding_model or DEFAULT_MODEL
    if settings.embedding_base_url:
        return Endpoint(CUSTOM, model, settings.embedding_base_url, settings.embedding_api_key)
    key = settings.embedding_api_key or core.openai_api_key
    if key is None:
        raise wrong_setting(
            "embedding_model",
            "needs EMBEDDING_API_KEY or OPENAI_API_KEY, or a server's EMBEDDING_BASE_URL",
        )
    chat = core.llm
    url = chat.url if chat.provider is OPENAI else core.openai_base_url or OPENAI.url
    return Endpoint(OPENAI, model, url, key)


"""How often an API that is busy is asked again: nobody waits for an answer here."""


@dataclass(frozen=True)
class RagComponents:
    """What a run needs, open."""

    settings: Settings
    database: Database
    chains: list[Migrations]
    embedder: Embedder
    store: VectorStore


def load_components(project: Project) -> RagComponents:
    """Make what the settings ask for; nothing is connected yet."""
    with explain_settings_errors():
        patient = {"database_timeout_seconds": None, "llm_max_retries": PATIENCE}
        settings, own = project.settings().model_copy(update=patient), RagSettings()
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        hide_secrets(own)
        database = open_database(settings)
        embedder = create_embedder(own, settings)
        store = create_vector_store(own, database, embedder)
    chains = [CORE, MIGRATIONS]
    if own.vector_store == "pgvector":
        chains.append(pgvector_tables.MIGRATIONS)
    return RagComponents(settings, database, chains, embedder, store)


async def migrate(parts: RagComponents) -> None:
    """Apply migrations in development; production runs `migrate` when it chooses to."""
    if not parts.settings.is_production:
        await upgrade(parts.database, parts.chains)
    elif waiting := await pending(parts.database, parts.chains):
        raise Conflict(f"Run `migrate` first; not applied yet: {', '.join(waiting)}.")


MODELS = {
    DEFAULT_MODEL: Model(1536, MIN_SIMILARITY),
    "text-embedding-3-large": Model(3072, MIN_SIMILARITY),
    "text-embedding-ada-002": Model(1536, 0.75),
}
