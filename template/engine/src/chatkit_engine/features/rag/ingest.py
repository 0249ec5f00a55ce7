"""Brings the documents of a folder into the database and a vector store, and keeps them up to date.

The chunks of several documents are embedded together, because requests to an API are slow. The
documents are then published one by one.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from chatkit_engine.errors import Conflict
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.document_reader import DocumentReader
from chatkit_engine.features.rag.drafts import (
    Batch,
    ConcurrentIngest,
    Draft,
    Target,
    as_bytes,
    mark_indexed,
    publish,
    stage,
)
from chatkit_engine.features.rag.embeddings.embedder import Embedder
from chatkit_engine.features.rag.files import FoundFiles, find_files, load_file
from chatkit_engine.features.rag.reading.document import Unreadable
from chatkit_engine.features.rag.reading.readers import READERS
from chatkit_engine.features.rag.rows import Document
from chatkit_engine.features.rag.vectors.store import VectorStore, vectors_in
from chatkit_engine.store.database import Database

BATCH = 128
MAX_WAITING = 64
CONCURRENT_INGEST = "Another run has just changed this document: run `ingest` again."


@dataclass
class Report:
    """What happened to the files. `embedded` counts the chunks that needed a new vector."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    chunks: int = 0
    embedded: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    left_out: Counter[str] = field(default_factory=Counter[str])


class Progress(Protocol):
    """Is called with the number of documents that are done. Part of a document is a fraction."""

    def __call__(self, done: float, total: int, source: str) -> None: ...


def no_progress(done: float, total: int, source: str) -> None:
    """Show nothing."""


class WouldWipe(Conflict):
    """A folder has none of the documents that its collection has."""

    def __init__(self, collection: str) -> None:
        super().__init__(
            f"This folder has none of the documents of '{collection}', so all of them would be "
            "deleted. Choose another collection with --name, or confirm with --replace."
        )


@dataclass(frozen=True)
class IngestPlan:
    """The files, the collection's documents by source, and those whose files are gone."""

    user_id: str
    collection: str
    found: FoundFiles
    known: dict[str, Document]
    gone: Sequence[Document]

    @property
    def would_wipe(self) -> bool:
        return bool(self.gone) and len(self.gone) == len(self.known)


class Ingest:
    """Ingests for one owner. Two runs may overlap, because both write the same rows.

    Searches find the old version of a document until the new one is complete. An interrupted run
    keeps the chunks that it has embedded, and the next run continues from there.
    """

    def __init__(
        self, database: Database, embedder: Embedder, store: VectorStore, user_id: str
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._store = store
        self._user_id = user_id

    async def run(self, root: Path, collection: str, progress: Progress = no_progress) -> Report:
        """Ingest a folder or a single file.

        Raises:
            Unavailable: the database, the store or the embedding model does not answer.
            WouldWipe: the collection has documents, and none of them is in the folder.
        """
        plan = await self.plan(root, collection)
        if plan.would_wipe:
            raise WouldWipe(collection)
        return await self.carry_out(plan, progress)

    async def plan(self, root: Path, collection: str) -> IngestPlan:
        """Compare the files with the collection. A single file never deletes other documents."""
        found = await asyncio.to_thread(find_files, root, READERS.keys())
        documents = await self._database.read(rows.list_documents, self._user_id, collection)
        is_folder = await asyncio.to_thread(root.is_dir)
        gone = [each for each in documents if is_folder and not found.may_exist(each.source)]
        known = {document.source: document for document in documents}
        return IngestPlan(self._user_id, collection, found, known, gone)

    async def carry_out(self, plan: IngestPlan, progress: Progress = no_progress) -> Report:
        """Ingest the files, then delete the documents whose files are gone.

        Raises:
            Unavailable: the database, the store or the embedding model does not answer.
        """
        async with aclosing(DocumentReader()) as reader:
            run = IngestRun(self._database, self._embedder, self._store, reader, plan, progress)
            await run.carry_out()
        return run.report


class IngestRun:
    """Carries out a plan. An interruption loses at most one batch of embeddings."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        store: VectorStore,
        reader: DocumentReader,
        plan: IngestPlan,
        progress: Progress,
    ) -> None:
        self.report = Report(refused=list(plan.found.refused), left_out=plan.found.left_out)
        self._database = database
        self._embedder = embedder
        self._store = store
        self._reader = reader
        self._plan = plan
        self._progress = progress
        self._target = Target(plan.user_id, plan.collection, embedder.name)
        self._vectors_in = vectors_in(store, embedder)
        self._waiting: list[Draft] = []
        self._done = 0

    async def carry_out(self) -> None:
        for source, path in self._plan.found.files.items():
            try:
                await self._prepare(source, path)
            except Unreadable as error:
                self.report.refused.append((source, str(error)))
                self._advance(source)
            if self._has_full_batch():
                await self._complete()
        await self._complete()
        for document in self._plan.gone:
            await _finish(self._delete(document))

    async def _prepare(self, source: str, path: Path) -> None:
        """Read and cut a file, unless its document is up to date."""
        file = await asyncio.to_thread(load_file, path)
        known = self._plan.known.get(source)
        if known and (known.content_hash, known.vectors_in) == (
            file.content_hash,
            self._vectors_in,
        ):
            self.report.unchanged += 1
            self._advance(source)
            return
        cut = await self._reader.read(file.data, source)
        draft = Draft.make(cut, file.content_hash, source, self._target)
        await self._reuse_vectors(draft)
        self._waiting.append(draft)

    async def _reuse_vectors(self, draft: Draft) -> None:
        """Find the vectors that the document already has, or had before it was renamed."""
        draft.reuse(await self._known_vectors(draft.document.id))
        for gone in self._plan.gone:
            if gone.content_hash == draft.document.content_hash:
                draft.reuse(await self._known_vectors(gone.id))

    async def _known_vectors(self, document_id: str) -> dict[str, tuple[str, bytes]]:
        user_id, embedder = self._plan.user_id, self._embedder.name
        return await self._database.read(rows.known_vectors, user_id, document_id, embedder)

    def _has_full_batch(self) -> bool:
        unstored = sum(len(draft.unstored) for draft in self._waiting)
        return unstored >= BATCH or len(self._waiting) >= MAX_WAITING

    async def _complete(self) -> None:
        """Embed the missing chunks of the waiting documents, and publish the documents."""
        drafts, self._waiting = self._waiting, []
        unstored = [(draft, at) for draft in drafts for at in draft.unstored]
        for start in range(0, len(unstored), BATCH):
            batch = unstored[start : start + BATCH]
            share = len(drafts) * start / len(unstored)
            total = len(self._plan.found.files)
            self._progress(self._done + share, total, batch[0][0].document.source)
            await self._embed(batch)
            await self._database.write(stage, batch, self._embedder.name)
        for draft in drafts:
            await _finish(self._publish(draft))
            self._advance(draft.document.source)

    async def _embed(self, batch: Batch) -> None:
        missing = [
            (draft, draft.chunks[at])
            for draft, at in batch
            if draft.chunks[at].hash not in draft.vectors
        ]
        if not missing:
            return
        matrix = await self._embedder.embed([chunk.embedded for _, chunk in missing])
        for (draft, chunk), vector in zip(missing, as_bytes(matrix), strict=True):
            draft.vectors[chunk.hash] = vector
        self.report.embedded += len(missing)

    async def _publish(self, draft: Draft) -> None:
        """Publish the document in the database first, then in the store."""
        try:
            removed = await self._database.write(publish, draft)
        except ConcurrentIngest:
            self.report.refused.append((draft.document.source, CONCURRENT_INGEST))
            return
        for start in range(0, len(draft.ids), BATCH):
            await self._store.add(draft.vectors_between(start, start + BATCH))
        if removed:
            await self._store.remove(self._plan.user_id, removed)
        await self._database.write(mark_indexed, draft, self._vectors_in)
        known = self._plan.known.get(draft.document.source)
        if known and known.content_hash:
            self.report.changed += 1
        else:
            self.report.added += 1
        self.report.chunks += len(draft.ids)

    async def _delete(self, document: Document) -> None:
        owner_and_id = self._plan.user_id, document.id
        ids = await self._database.read(rows.chunk_ids, *owner_and_id)
        await self._store.remove(self._plan.user_id, ids)
        await self._database.write(rows.remove, *owner_and_id)
        self.report.deleted += 1

    def _advance(self, source: str) -> None:
        self._done += 1
        self._progress(self._done, len(self._plan.found.files), source)


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run the work to its end, even if the caller is cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
