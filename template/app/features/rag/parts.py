"""What the commands for documents need: the settings' embedder and store, and the database."""

from dataclasses import dataclass

from app.errors import Conflict
from app.features.rag.embeddings import create_embedder
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.settings import RagSettings
from app.features.rag.tables import MIGRATIONS
from app.features.rag.vectors import pgvector_tables
from app.features.rag.vectors.contract import VectorStore
from app.features.rag.vectors.wiring import create_vector_store
from app.observability.logs import configure_logging, hide_secrets
from app.settings import Settings
from app.store.databases import open_database
from app.store.engine import Database
from app.store.migrate import CORE, Migrations, pending, upgrade
from app.terminal import explained

PATIENCE = 8
"""How often an API that is busy is asked again: nobody waits for an answer here."""


@dataclass(frozen=True)
class Parts:
    """What a run needs, open."""

    settings: Settings
    database: Database
    chains: list[Migrations]
    embedder: Embedder
    store: VectorStore


def load_parts() -> Parts:
    """Make what the settings ask for; nothing is connected yet."""
    with explained():
        patient = {"database_timeout_seconds": None, "llm_max_retries": PATIENCE}
        settings, own = Settings().model_copy(update=patient), RagSettings()
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        hide_secrets(own)
        database = open_database(settings)
        embedder = create_embedder(own, settings)
        store = create_vector_store(own, database, embedder)
    chains = [CORE, MIGRATIONS]
    if own.vector_store == "pgvector":
        chains.append(pgvector_tables.MIGRATIONS)
    return Parts(settings, database, chains, embedder, store)


async def migrate(parts: Parts) -> None:
    """Apply migrations in development; production runs `migrate` when it chooses to."""
    if not parts.settings.is_production:
        await upgrade(parts.database, parts.chains)
    elif waiting := await pending(parts.database, parts.chains):
        raise Conflict(f"Run `migrate` first; not applied yet: {', '.join(waiting)}.")
