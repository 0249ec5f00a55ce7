"""A document on its way from a file into the database.

A draft's transactions. Each leaves the document whole, whatever another run does meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from chatkit_engine.features.rag import rows
from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.files import read_bytes
from chatkit_engine.features.rag.reading.chunking import VERSION, Piece, cut_document
from chatkit_engine.features.rag.reading.document import Unreadable
from chatkit_engine.features.rag.reading.readers import read_document
from chatkit_engine.features.rag.rows import Chunk, Document
from chatkit_engine.features.rag.vectors.store import Vectors

MAX_PIECES = 10_000
TOO_LONG = f"It has more than {MAX_PIECES:,} passages: split it."


@dataclass(frozen=True)
class File:
    """A file's bytes, and the hash that tells whether they were ingested, by this code, before."""

    path: Path
    data: bytes
    content_hash: str

    @classmethod
    def load(cls, path: Path) -> "File":
        """Read the file. It blocks.

        Raises:
            Unreadable: the message says why.
        """
        data = read_bytes(path)
        hashed = sha256(f"{VERSION} ".encode())
        hashed.update(data)
        return cls(path, data, hashed.hexdigest())


@dataclass(frozen=True)
class Destination:
    """Whose collection it is, and what embeds its texts."""

    user_id: str
    collection: str
    embedder: str

    def document_id(self, source: str) -> str:
        """Return the same id in each run, so that two at once work on the same rows."""
        return _id("doc", self.user_id, self.collection, source)


@dataclass(eq=False)
class Draft:
    """A document that was read and cut.

    `vectors` has those that are known, by the hashes of the pieces; `stored` are the ids of the
    pieces that have a row already. Both are filled as the work goes on.
    """

    document: Document
    pieces: Sequence[Piece]
    ids: Sequence[str]
    vectors: dict[str, bytes] = field(default_factory=dict[str, bytes])
    stored: set[str] = field(default_factory=set[str])

    @classmethod
    def make(cls, file: File, source: str, destination: Destination) -> "Draft":
        """Read and cut the file. It blocks.

        Raises:
            Unreadable: the message says why.
        """
        parsed = read_document(file.data, source)
        pieces = cut_document(parsed)
        if len(pieces) > MAX_PIECES:
            raise Unreadable(TOO_LONG)
        document = Document(
            user_id=destination.user_id,
            id=destination.document_id(source),
            collection=destination.collection,
            source=source,
            title=parsed.title,
            url=parsed.url,
            chapter=parsed.chapter or "",
            lesson=parsed.lesson or "",
            content_hash=file.content_hash,
        )
        ids = [_id("chk", document.id, destination.embedder, piece.hash) for piece in pieces]
        return cls(document, pieces, ids)

    def recall(self, known: Mapping[str, tuple[str, bytes]]) -> None:
        """Take note of rows that there are: their ids and vectors, by the hashes of the pieces."""
        self.stored |= {chunk_id for chunk_id, _ in known.values()}
        self.vectors |= {hash_: vector for hash_, (_, vector) in known.items()}

    @property
    def positions(self) -> dict[str, int]:
        return {chunk_id: position for position, chunk_id in enumerate(self.ids)}

    @property
    def anchors(self) -> dict[str, str]:
        pieces = zip(self.ids, self.pieces, strict=True)
        return {chunk_id: piece.anchor for chunk_id, piece in pieces}

    @property
    def unstored(self) -> list[int]:
        """The positions of the pieces that have no row yet."""
        return [at for at, chunk_id in enumerate(self.ids) if chunk_id not in self.stored]

    def chunk(self, position: int) -> Chunk:
        piece = self.pieces[position]
        return Chunk(
            id=self.ids[position],
            position=position,
            heading=piece.heading,
            anchor=piece.anchor,
            text=piece.text,
            hash=piece.hash,
            embedding=self.vectors[piece.hash],
        )

    def part(self, start: int, end: int) -> Vectors:
        """Return the vectors of some of the pieces, for a store."""
        some = self.pieces[start:end]
        joined = b"".join(self.vectors[piece.hash] for piece in some)
        matrix = np.frombuffer(joined, "<f4").reshape(len(some), -1)
        return Vectors(self.document.user_id, self.document.id, self.ids[start:end], matrix)


def as_bytes(matrix: Matrix) -> list[bytes]:
    """Return the vectors as rows keep them."""
    return [row.astype("<f4").tobytes() for row in matrix]


def _id(prefix: str, *parts: str) -> str:
    hashed = sha256("\n".join(parts).encode()).hexdigest()
    return f"{prefix}_{hashed[:32]}"


Batch = Sequence[tuple[Draft, int]]

"""Pieces of some documents, by their positions."""


class Overtaken(Exception):
    """Another run has changed the document since this one read it."""


def stage(connection: Connection, batch: Batch, embedder: str) -> None:
    """Keep the pieces, with their vectors, where nobody finds them yet."""
    for draft, group in groupby(batch, lambda each: each[0]):
        rows.stage(connection, draft.document, [draft.chunk(at) for _, at in group], embedder)


def publish(connection: Connection, draft: Draft) -> list[str]:
    """Have the document be found as the draft is; return the ids of the chunks that it loses.

    Raises:
        Overtaken: some of the draft's pieces are gone, or others have come.
    """
    document, positions = draft.document, draft.positions
    lost = rows.publish(connection, document, positions)
    if not _is_all_of(connection, draft):
        raise Overtaken
    rows.move_anchors(connection, document.user_id, document.id, draft.anchors)
    return lost


def mark_indexed(connection: Connection, draft: Draft, store: str) -> None:
    """Leave it unmarked where another run has changed it: the next run puts that right."""
    if _is_all_of(connection, draft):
        rows.mark_indexed(connection, draft.document.user_id, draft.document.id, store)


def _is_all_of(connection: Connection, draft: Draft) -> bool:
    """Say whether the document's chunks are the draft's, all of them and no others."""
    document = draft.document
    return set(rows.chunk_ids(connection, document.user_id, document.id)) == set(draft.ids)
