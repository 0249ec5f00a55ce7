"""What a run of `ingest` tells: while it works, and at its end.

Work in a thread that nobody waits for: a command that is interrupted ends at once.

One run of `ingest`: documents are embedded together, and published one by one.

Brings a folder's documents into the database and a vector store, and keeps them as they are."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar, TypeVarTuple

from chatkit_engine.errors import Conflict
from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import Embedder
from chatkit_engine.features.rag.files import FoundFile, find_files
from chatkit_engine.features.rag.publishing import (
    Batch,
    Destination,
    Draft,
    File,
    Overtaken,
    as_bytes,
    mark_indexed,
    publish,
    stage,
)
from chatkit_engine.features.rag.reading.document import Unreadable
from chatkit_engine.features.rag.reading.readers import READERS
from chatkit_engine.features.rag.rows import Document
from chatkit_engine.features.rag.vectors.store import VectorStore, vectors_in
from chatkit_engine.store.database import Database

T = TypeVar("T")
BATCH = 128
MAX_WAITING = 64
READ_SECONDS = 180
TOO_SLOW = "It takes too long to read: split it."
OVERTAKEN = "Another run changes it just now: run it again."


@dataclass
class Report:
    """What became of the files. `embedded` counts the chunks that needed a new vector."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    chunks: int = 0
    embedded: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    left_out: Counter[str] = field(default_factory=Counter[str])


class Progress(Protocol):
    """Is told how far a run has come: so many of all documents, a part of one among them."""

    def __call__(self, done: float, total: int, source: str) -> None: ...


def silent(done: float, total: int, source: str) -> None:
    """Show nothing."""


Ts = TypeVarTuple("Ts")


async def aside(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return what the work returns. Whoever is cancelled meanwhile leaves it to itself."""
    done = Future[T]()
    done.set_running_or_notify_cancel()
    Thread(target=_do, args=(done, work, *args), daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(done))


def _do(done: "Future[T]", work: Callable[[*Ts], T], *args: *Ts) -> None:
    try:
        done.set_result(work(*args))
    except Exception as error:
        done.set_exception(error)


@dataclass(frozen=True)
class IngestPlan:
    """The files that are there, and the documents that the collection has, by source."""

    user_id: str
    collection: str
    found: FoundFile
    known: dict[str, Document]
    gone: Sequence[Document]

    @property
    def would_wipe(self) -> bool:
        return bool(self.gone) and len(self.gone) == len(self.known)


class IngestRun:
    """Carries out a plan. An interruption loses one batch of embeddings at most."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        store: VectorStore,
        plan: IngestPlan,
        progress: Progress,
    ) -> None:
        self.report = Report(refused=list(plan.found.refused), left_out=plan.found.left_out)
        self._database = database
        self._embedder = embedder
        self._store = store
        self._plan = plan
        self._progress = progress
        self._destination = Destination(plan.user_id, plan.collection, embedder.name)
        self._vectors_in = vectors_in(store, embedder)
        self._waiting: list[Draft] = []
        self._done = 0

    async def carry_out(self) -> None:
        for source, path in self._plan.found.files.items():
            try:
                await self._take(source, path)
            except Unreadable as error:
                self._refuse(source, str(error))
                self._advance(source)
            if self._has_enough():
                await self._complete()
        await self._complete()
        for document in self._plan.gone:
            await _whole(self._delete(document))

    async def _take(self, source: str, path: Path) -> None:
        file = await asyncio.to_thread(File.load, path)
        known = self._plan.known.get(source)
        if known and (known.content_hash, known.vectors_in) == (
            file.content_hash,
            self._vectors_in,
        ):
            self.report.unchanged += 1
            self._advance(source)
            return
        draft = await self._read(file, source)
        await self._recall(draft)
        self._waiting.append(draft)

    async def _read(self, file: File, source: str) -> Draft:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await aside(Draft.make, file, source, self._destination)
        except TimeoutError:
            raise Unreadable(TOO_SLOW) from None

    async def _recall(self, draft: Draft) -> None:
        """Find the vectors that the document has, or had under another name."""
        draft.recall(await self._known_vectors(draft.document.id))
        for gone in self._plan.gone:
            if gone.content_hash == draft.document.content_hash:
                draft.recall(await self._known_vectors(gone.id))

    async def _known_vectors(self, document_id: str) -> dict[str, tuple[str, bytes]]:
        user_id, embedder = self._plan.user_id, self._embedder.name
        return await self._database.read(rows.known_vectors, user_id, document_id, embedder)

    def _has_enough(self) -> bool:
        unstored = sum(len(draft.unstored) for draft in self._waiting)
        return unstored >= BATCH or len(self._waiting) >= MAX_WAITING

    async def _complete(self) -> None:
        """Embed what the waiting documents lack, and publish them."""
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
            await _whole(self._publish(draft))
            self._advance(draft.document.source)

    async def _embed(self, batch: Batch) -> None:
        lacking = [
            (draft, draft.pieces[at])
            for draft, at in batch
            if draft.pieces[at].hash not in draft.vectors
        ]
        if not lacking:
            return
        matrix = await self._embedder.embed([piece.embedded for _, piece in lacking])
        for (draft, piece), vector in zip(lacking, as_bytes(matrix), strict=True):
            draft.vectors[piece.hash] = vector
        self.report.embedded += len(lacking)

    async def _publish(self, draft: Draft) -> None:
        """Have the document be found as it is now: first in the database, then in the store."""
        try:
            lost = await self._database.write(publish, draft)
        except Overtaken:
            self._refuse(draft.document.source, OVERTAKEN)
            return
        for start in range(0, len(draft.ids), BATCH):
            await self._store.add(draft.part(start, start + BATCH))
        if lost:
            await self._store.remove(self._plan.user_id, lost)
        await self._database.write(mark_indexed, draft, self._vectors_in)
        self._count(draft)

    async def _delete(self, document: Document) -> None:
        destination = self._plan.user_id, document.id
        ids = await self._database.read(rows.chunk_ids, *destination)
        await self._store.remove(self._plan.user_id, ids)
        await self._database.write(rows.remove, *destination)
        self.report.deleted += 1

    def _count(self, draft: Draft) -> None:
        known = self._plan.known.get(draft.document.source)
        if known and known.content_hash:
            self.report.changed += 1
        else:
            self.report.added += 1
        self.report.chunks += len(draft.ids)

    def _refuse(self, source: str, why: str) -> None:
        self.report.refused.append((source, why))

    def _advance(self, source: str) -> None:
        self._done += 1
        self._progress(self._done, len(self._plan.found.files), source)


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end, and only then be interrupted."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


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

    async def plan(self, root: Path, collection: str) -> IngestPlan:
        """Find out what there is to do. A file alone is added: nothing is deleted for its sake."""
        found = await asyncio.to_thread(find_files, root, READERS.keys())
        documents = await self._database.read(rows.list_documents, self._user_id, collection)
        is_whole = await asyncio.to_thread(root.is_dir)
        gone = [each for each in documents if is_whole and not found.is_there(each.source)]
        known = {document.source: document for document in documents}
        return IngestPlan(self._user_id, collection, found, known, gone)

    async def carry_out(self, plan: IngestPlan, progress: Progress = silent) -> Report:
        """Ingest the files, then delete the documents whose files are gone.

        Raises:
            Unavailable: the database, the store or the embedding model does not answer.
        """
        run = IngestRun(self._database, self._embedder, self._store, plan, progress)
        await run.carry_out()
        return run.report
