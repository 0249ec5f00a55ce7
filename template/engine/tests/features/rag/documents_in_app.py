"""Ingests documents into the database of a running application."""

from pathlib import Path

from support.app import Running

from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.ingest import Ingest, Report
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.store import SHARED


async def ingest(app: Running, folder: Path, user: str = SHARED) -> Report:
    """Ingest a folder with the local embedder, for the store that needs nothing."""
    database, embedder = app.services.database, LocalEmbedder()
    store = EmbeddedStore(database, embedder.name, embedder.dimensions)
    return await Ingest(database, embedder, store, user).run(folder, folder.name)
