"""One run of `ingest`: documents are embedded together, and published one by one."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.features.rag import rows
from app.features.rag.aside import aside
from app.features.rag.draft import Draft, File, Place, as_bytes
from app.features.rag.draft_rows import Batch, Overtaken, mark_indexed, publish, stage
from app.features.rag.embeddings.contract import Embedder
from app.features.rag.files import Found
from app.features.rag.reading.contract import Unreadable
from app.features.rag.report import Progress, Report
from app.features.rag.rows import Document
from app.features.rag.vectors.contract import VectorStore, vectors_in
from app.store.engine import Database

BATCH = 128
MAX_WAITING = 64
READ_SECONDS = 180
TOO_SLOW = "It takes too long to read: split it."
OVERTAKEN = "Another run changes it just now: run it again."


@dataclass(frozen=True)
class Plan:
    """The files that are there, and the documents that the collection has, by source."""

    user_id: str
    collection: str
    found: Found
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
        plan: Plan,
        progress: Progress,
    ) -> None:
        self.report = Report(refused=list(plan.found.refused), left_out=plan.found.left_out)
        self._database = database
        self._embedder = embedder
        self._store = store
        self._plan = plan
        self._progress = progress
        self._place = Place(plan.user_id, plan.collection, embedder.name)
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
                return await aside(Draft.make, file, source, self._place)
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
        place = self._plan.user_id, document.id
        ids = await self._database.read(rows.chunk_ids, *place)
        await self._store.remove(self._plan.user_id, ids)
        await self._database.write(rows.remove, *place)
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
