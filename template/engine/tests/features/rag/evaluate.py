"""`python -m features.rag.evaluate`: each vector store and ranking, over the documents here.

The embedder is the one that the settings choose: the local one, or a model where a key is set.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from qdrant_client import AsyncQdrantClient

from chatkit_engine.context import User
from chatkit_engine.features.rag.components import create_embedder
from chatkit_engine.features.rag.embeddings.embedder import Embedder
from chatkit_engine.features.rag.evaluation import Scores, as_table, compare, load_cases
from chatkit_engine.features.rag.ingest import Ingest
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.tables import MIGRATIONS
from chatkit_engine.features.rag.vectors import pgvector_tables
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.pgvector import PgvectorStore
from chatkit_engine.features.rag.vectors.qdrant import QdrantStore
from chatkit_engine.features.rag.vectors.store import VectorStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.testing.postgres import running_postgres

DOCUMENTS = Path(__file__).with_name("documents")
USER = User(id="evaluation")


async def evaluate_each_store(embedder: Embedder, postgres_url: str, folder: Path) -> str:
    """Return a table of each store's scores."""
    name, size = embedder.name, embedder.dimensions
    async with AsyncExitStack() as stack:
        sqlite = await stack.enter_async_context(_database(f"sqlite:///{folder}/chat.db"))
        postgres = await stack.enter_async_context(_database(postgres_url))
        stores: list[tuple[Database, VectorStore]] = [
            (sqlite, EmbeddedStore(sqlite, name, size)),
            (postgres, PgvectorStore(postgres, name, size)),
            (sqlite, QdrantStore(AsyncQdrantClient(":memory:"), name, size)),
        ]
        scores = {
            store.name.split()[0]: await _evaluate(database, embedder, store)
            for database, store in stores
        }
    return as_table(scores)


async def _evaluate(
    database: Database, embedder: Embedder, store: VectorStore
) -> dict[str, Scores]:
    await Ingest(database, embedder, store, USER.id).run(DOCUMENTS, "documents")
    cases = load_cases(DOCUMENTS / "questions.json")
    return await compare(database, embedder, store, USER, cases)


@asynccontextmanager
async def _database(url: str) -> AsyncGenerator[Database]:
    async with aclosing(open_database(Settings(database_url=url))) as database:
        await upgrade(database, [CORE, MIGRATIONS, pgvector_tables.MIGRATIONS])
        yield database


def main() -> None:
    embedder = create_embedder(RagSettings(), Settings())
    with running_postgres() as postgres, TemporaryDirectory() as folder:
        url = postgres.create_database()
        print(asyncio.run(evaluate_each_store(embedder, url, Path(folder))))


if __name__ == "__main__":
    main()
