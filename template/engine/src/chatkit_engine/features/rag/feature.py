"""Document search (RAG): ingested documents are searched by a tool, and cited in answers."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from chatkit_engine.builder import Builder
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.components import add_vector_store, create_embedder
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder
from chatkit_engine.features.rag.search import CachedSearch, DocumentSearch, Ranking
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.tables import MIGRATIONS
from chatkit_engine.features.rag.tools import create_tools
from chatkit_engine.features.rag.vectors.store import vectors_in
from chatkit_engine.observability.health import HealthStatus
from chatkit_engine.observability.logs import hide_secrets


def install(builder: Builder) -> None:
    settings = RagSettings()
    hide_secrets(settings)
    embedder = create_embedder(settings, builder.settings)
    builder.add_migrations(MIGRATIONS)
    store = add_vector_store(builder, settings, embedder)
    cached = CachedEmbedder(embedder, settings.search_cache_seconds)
    ranking = Ranking.of(settings, embedder)
    search = DocumentSearch(builder.database, cached, store, ranking)
    builder.add_tools(*create_tools(CachedSearch(builder.database, search, settings)))
    current_store = vectors_in(store, embedder)

    @asynccontextmanager
    async def closed() -> AsyncGenerator[None]:
        async with aclosing(cached):
            yield

    async def documents() -> HealthStatus:
        missing = await builder.database.read(rows.count_elsewhere, current_store)
        advice = f"{missing} are missing from this vector store: run `ingest` on them again"
        return HealthStatus(name="documents", ok=True, detail=advice if missing else "")

    builder.add_resource(closed)
    builder.add_health_check(documents)
