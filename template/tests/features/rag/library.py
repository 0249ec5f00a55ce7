"""Documents for tests, ingested into an application's database."""

from pathlib import Path

from app.features.rag.embeddings.local import LocalEmbedder
from app.features.rag.ingest import Ingest, Report
from app.features.rag.vectors.contract import SHARED
from app.features.rag.vectors.embedded import EmbeddedStore
from tests.support.app import Running


async def ingest(app: Running, folder: Path, user: str = SHARED) -> Report:
    """Ingest a folder with the local embedder, for the store that needs nothing."""
    database, embedder = app.app.state.database, LocalEmbedder()
    store = EmbeddedStore(database, embedder.name, embedder.dimensions)
    return await Ingest(database, embedder, store, user).run(folder, folder.name)
