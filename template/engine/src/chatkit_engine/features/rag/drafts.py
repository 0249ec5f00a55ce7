"""A document between its file and the database: read, cut into chunks, and published.

Each of the transactions leaves the document complete, because another run may change it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

import numpy as np
from sqlalchemy import Connection

from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.document_reader import CutDocument
from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.reading.chunking import Chunk
from chatkit_engine.features.rag.rows import ChunkRow, Document
from chatkit_engine.features.rag.vectors.store import Vectors


@dataclass(frozen=True)
class Target:
    """The collection to ingest into, its owner, and the name of the embedder."""

    user_id: str
    collection: str
    embedder: str


@dataclass(eq=False)
class Draft:
    """A document that was read and cut.

    `vectors` are the known vectors by the hashes of their chunks. `stored` are the ids of the
    chunks that have a row already. Both grow during the run.
    """

    document: Document
    chunks: Sequence[Chunk]
    ids: Sequence[str]
    vectors: dict[str, bytes] = field(default_factory=dict[str, bytes])
    stored: set[str] = field(default_factory=set[str])

    @classmethod
    def make(cls, cut: CutDocument, content_hash: str, source: str, target: Target) -> "Draft":
        """Return the draft of a document, whose file has this hash."""
        document = Document(
            user_id=target.user_id,
            # The same id in each run, so that two runs at once work on the same rows.
            id=_id("doc", target.user_id, target.collection, source),
            collection=target.collection,
            source=source,
            title=cut.title,
            url=cut.url,
            chapter=cut.chapter,
            lesson=cut.lesson,
            content_hash=content_hash,
        )
        ids = [_id("chk", document.id, target.embedder, chunk.hash) for chunk in cut.chunks]
        return cls(document, cut.chunks, ids)

    @property
    def positions(self) -> dict[str, int]:
        return {chunk_id: position for position, chunk_id in enumerate(self.ids)}

    @property
    def anchors(self) -> dict[str, str]:
        chunks = zip(self.ids, self.chunks, strict=True)
        return {chunk_id: chunk.anchor for chunk_id, chunk in chunks}

    @property
    def unstored(self) -> list[int]:
        """The positions of the chunks that have no row yet."""
        return [at for at, chunk_id in enumerate(self.ids) if chunk_id not in self.stored]

    def reuse(self, known: Mapping[str, tuple[str, bytes]]) -> None:
        """Take over existing rows: their ids and vectors, by the hashes of their chunks."""
        self.stored |= {chunk_id for chunk_id, _ in known.values()}
        self.vectors |= {hash_: vector for hash_, (_, vector) in known.items()}

    def row(self, position: int) -> ChunkRow:
        chunk = self.chunks[position]
        return ChunkRow(
            id=self.ids[position],
            position=position,
            heading=chunk.heading,
            anchor=chunk.anchor,
            text=chunk.text,
            hash=chunk.hash,
            embedding=self.vectors[chunk.hash],
        )

    def vectors_between(self, start: int, end: int) -> Vectors:
        """Return the vectors of the chunks from one position to another, for a store."""
        some = self.chunks[start:end]
        joined = b"".join(self.vectors[chunk.hash] for chunk in some)
        matrix = np.frombuffer(joined, "<f4").reshape(len(some), -1)
        return Vectors(self.document.user_id, self.document.id, self.ids[start:end], matrix)


# Chunks of several documents, by their positions.
Batch = Sequence[tuple[Draft, int]]


class ConcurrentIngest(Exception):
    """Another run has changed the document since this one read it."""


def stage(connection: Connection, batch: Batch, embedder: str) -> None:
    """Store the chunks and their vectors, where no search finds them yet."""
    for draft, group in groupby(batch, lambda each: each[0]):
        rows.stage(connection, draft.document, [draft.row(at) for _, at in group], embedder)


def publish(connection: Connection, draft: Draft) -> list[str]:
    """Let searches find the document as it is in the draft. Returns the ids of removed chunks.

    Raises:
        ConcurrentIngest: another run has removed some of the draft's chunks, or added others.
    """
    document, positions = draft.document, draft.positions
    removed = rows.publish(connection, document, positions)
    if not _has_same_chunks(connection, draft):
        raise ConcurrentIngest
    rows.move_anchors(connection, document.user_id, document.id, draft.anchors)
    return removed


def mark_indexed(connection: Connection, draft: Draft, store: str) -> None:
    """Record where the vectors are, unless another run has changed the document.

    A document without a mark is ingested again by the next run.
    """
    if _has_same_chunks(connection, draft):
        rows.mark_indexed(connection, draft.document.user_id, draft.document.id, store)


def as_bytes(matrix: Matrix) -> list[bytes]:
    """Return the vectors in the format of the database's rows."""
    return [row.astype("<f4").tobytes() for row in matrix]


def _has_same_chunks(connection: Connection, draft: Draft) -> bool:
    document = draft.document
    return set(rows.chunk_ids(connection, document.user_id, document.id)) == set(draft.ids)


def _id(prefix: str, *parts: str) -> str:
    hashed = sha256("\n".join(parts).encode()).hexdigest()
    return f"{prefix}_{hashed[:32]}"
