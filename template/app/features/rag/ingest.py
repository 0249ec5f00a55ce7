"""Brings a folder's documents into the database and a vector store, and keeps them as they are."""

import asyncio
from pathlib import Path

from app.errors import Conflict
from app.features.rag import rows
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.files import find_files
from app.features.rag.ingest_run import IngestRun, Plan
from app.features.rag.reading import READERS
from app.features.rag.report import Progress, Report, silent
from app.features.rag.vectors.contract import VectorStore
from app.store.engine import Database


class WouldWipe(Conflict):
    """A folder has none of the documents that its collection has."""

    def __init__(self, collection: str) -> None:
        super().__init__(
            f"None of the documents of '{collection}' is in this folder: all of them would be "
            "deleted. Give the folder another name with --name, or replace them with --replace."
        )


class Ingest:
    """Ingests for one owner. Two runs at once do no harm: both write the same rows.

    A document is found as it was until all of the new one is there. What was embedded is kept when
    a run is interrupted, and the next run goes on with it.
    """

    def __init__(
        self, database: Database, embedder: Embedder, store: VectorStore, user_id: str
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._store = store
        self._user_id = user_id

    async def run(self, root: Path, collection: str, progress: Progress = silent) -> Report:
        """Ingest a folder, or a file alone.

        Raises:
            Unavailable: the database, the store or the embedding model does not answer.
            WouldWipe: the collection has documents, and none of them is in the folder.
        """
        plan = await self.plan(root, collection)
        if plan.would_wipe:
            raise WouldWipe(collection)
        return await self.carry_out(plan, progress)

    async def plan(self, root: Path, collection: str) -> Plan:
        """Find out what there is to do. A file alone is added: nothing is deleted for its sake."""
        found = await asyncio.to_thread(find_files, root, READERS.keys())
        documents = await self._database.read(rows.list_documents, self._user_id, collection)
        is_whole = await asyncio.to_thread(root.is_dir)
        gone = [each for each in documents if is_whole and not found.is_there(each.source)]
        known = {document.source: document for document in documents}
        return Plan(self._user_id, collection, found, known, gone)

    async def carry_out(self, plan: Plan, progress: Progress = silent) -> Report:
        """Ingest the files, then delete the documents whose files are gone.

        Raises:
            Unavailable: the database, the store or the embedding model does not answer.
        """
        run = IngestRun(self._database, self._embedder, self._store, plan, progress)
        await run.carry_out()
        return run.report
