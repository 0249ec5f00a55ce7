"""Creates the embedder and vector store that the settings name, for the app and the commands."""

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
# A command retries a busy API more often than a turn does, because nobody waits for its answer.
COMMAND_RETRIES = 8


class ModelFacts(NamedTuple):
    """The length of a model's vectors, and the cosine below which a match means nothing."""

    dimensions: int | None
    min_similarity: float


KNOWN_MODELS = {
    DEFAULT_MODEL: ModelFacts(1536, MIN_SIMILARITY),
    "text-embedding-3-large": ModelFacts(3072, MIN_SIMILARITY),
    "text-embedding-ada-002": ModelFacts(1536, 0.75),
}


@dataclass(frozen=True)
class RagComponents:
    """What a command needs."""

    settings: Settings
    database: Database
    chains: list[Migrations]
    embedder: Embedder
    store: VectorStore


def load_components(project: Project) -> RagComponents:
    """Create a command's components from the settings. Nothing is connected yet."""
    with explain_settings_errors():
        patient = {"database_timeout_seconds": None, "llm_max_retries": COMMAND_RETRIES}
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


async def migrate(components: RagComponents) -> None:
    """Apply pending migrations in development. In production, ask for the command `migrate`."""
    if not components.settings.is_production:
        await upgrade(components.database, components.chains)
    elif waiting := await pending(components.database, components.chains):
        raise Conflict(f"Run `migrate` first. Pending migrations: {', '.join(waiting)}.")


def create_embedder(settings: RagSettings, core: Settings) -> Embedder:
    """Return an embedding model if one is configured or OpenAI's key is set, else the local one.

    Raises:
        ValidationError: a setting that the model needs is missing.
    """
    key = settings.embedding_api_key or core.openai_api_key
    has_model = settings.embedding_model or settings.embedding_base_url or key
    if not has_model or settings.embedding_model == LOCAL:
        return LocalEmbedder()
    endpoint = _endpoint(settings, core)
    model = endpoint.model or DEFAULT_MODEL
    known = KNOWN_MODELS.get(model, ModelFacts(None, MIN_SIMILARITY))
    dimensions = settings.embedding_dimensions or known.dimensions
    if dimensions is None:
        raise wrong_setting(
            "embedding_dimensions", "set it to the length of EMBEDDING_MODEL's vectors"
        )
    client = create_client(endpoint, core.llm_timeout_seconds, core.llm_answer_timeout_seconds)
    return OpenAiEmbedder(
        client.with_options(max_retries=core.llm_max_retries),
        model,
        dimensions,
        dimensions if known.dimensions not in (None, dimensions) else None,
        known.min_similarity,
        core.llm_answer_timeout_seconds,
    )


def _endpoint(settings: RagSettings, core: Settings) -> Endpoint:
    """Return the model's endpoint. OpenAI's key is sent only to OpenAI or its configured proxy."""
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


def add_vector_store(builder: Builder, settings: RagSettings, embedder: Embedder) -> VectorStore:
    """Create the store and register it with the application, which closes it when it stops.

    Add the documents' migrations first, because the store's tables refer to theirs.
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


def create_vector_store(
    settings: RagSettings, database: Database, embedder: Embedder
) -> VectorStore:
    """Return the store. It does not connect to anything yet.

    Raises:
        ValidationError: the database does not support it.
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


def _create_qdrant_store(settings: RagSettings, embedder: Embedder) -> VectorStore:
    # Its client takes a second to import.
    from chatkit_engine.features.rag.vectors.qdrant import QdrantStore, connect  # noqa: PLC0415

    url, key = str(settings.qdrant_url), settings.qdrant_api_key
    client = connect(url, key.get_secret_value() if key else None)
    return QdrantStore(client, embedder.name, embedder.dimensions, settings.qdrant_collections, url)
