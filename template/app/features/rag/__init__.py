"""Retrieval: documents that are ingested, searched by a tool, and cited."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from app.builder import Builder
from app.features.rag import rows
from app.features.rag.embeddings import create_embedder
from app.features.rag.embeddings.cached import CachedEmbedder
from app.features.rag.ranking import Ranking
from app.features.rag.search import CachedSearch, DocumentSearch
from app.features.rag.settings import RagSettings
from app.features.rag.tables import MIGRATIONS
from app.features.rag.tools import create_tools
from app.features.rag.vectors.contract import vectors_in
from app.features.rag.vectors.wiring import add_vector_store
from app.http.health import Check
from app.observability.logs import hide_secrets


def install(builder: Builder) -> None:
    settings = RagSettings()
    hide_secrets(settings)
    embedder = create_embedder(settings, builder.settings)
    builder.add_migrations(MIGRATIONS)
    store = add_vector_store(builder, settings, embedder)
    asking = CachedEmbedder(embedder, settings.search_cache_seconds)
    ranking = Ranking.of(settings, embedder)
    search = DocumentSearch(builder.database, asking, store, ranking)
    builder.add_tools(*create_tools(CachedSearch(builder.database, search, settings)))
    here = vectors_in(store, embedder)

    @asynccontextmanager
    async def closed() -> AsyncGenerator[None]:
        async with aclosing(asking):
            yield

    async def documents() -> Check:
        waiting = await builder.database.read(rows.count_elsewhere, here)
        advice = f"{waiting} are not in this vector store: run `ingest` on them again"
        return Check(name="documents", ok=True, detail=advice if waiting else "")

    builder.add_resource(closed)
    builder.add_health_check(documents)
