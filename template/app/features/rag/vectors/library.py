"""An owner's vectors in memory, and the few owners' that are kept there."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from app.features.rag.embeddings.contract import Matrix
from app.features.rag.rows import LibraryVersion
from app.features.rag.vectors.contract import SHARED, Match

log = structlog.stdlib.get_logger(__name__)


class Piece(NamedTuple):
    """Some chunks as they are read: a row of the matrix for each, and the last one's place."""

    chunk_ids: list[str]
    document_ids: list[str]
    matrix: Matrix
    last: tuple[int, int] | None


@dataclass(frozen=True)
class Library:
    """One owner's vectors, as they were at a version. `document_of` has numbers, not ids."""

    at: LibraryVersion
    matrix: Matrix
    chunk_ids: Sequence[str] = ()
    document_of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def empty(cls, at: LibraryVersion, dimensions: int) -> "Library":
        return cls(at, np.empty((0, dimensions), np.float32))

    def extended(self, at: LibraryVersion, pieces: Sequence[Piece]) -> "Library":
        """Return the library with more chunks, at a later version."""
        if not any(piece.chunk_ids for piece in pieces):
            return replace(self, at=at)
        added = [document_id for piece in pieces for document_id in piece.document_ids]
        numbers = dict(self.numbers)
        numbered = [numbers.setdefault(document_id, len(numbers)) for document_id in added]
        return Library(
            at,
            np.concatenate([self.matrix, *(piece.matrix for piece in pieces)]),
            [*self.chunk_ids, *(chunk_id for piece in pieces for chunk_id in piece.chunk_ids)],
            np.concatenate([self.document_of, np.array(numbered, np.int64)]),
            numbers,
        )

    def nearest(
        self, queries: Matrix, limit: int, document_ids: Sequence[str] | None
    ) -> list[list[Match]]:
        """Return for each query the nearest chunks, best first."""
        similarities = queries @ self.matrix.T
        rows = np.arange(len(self.chunk_ids))
        if document_ids is not None:
            wanted = [self.numbers[each] for each in document_ids if each in self.numbers]
            rows = np.flatnonzero(np.isin(self.document_of, wanted))
        return [self._best(each[rows], rows, limit) for each in similarities]

    def _best(
        self, similarities: NDArray[np.float32], rows: NDArray[np.int64], limit: int
    ) -> list[Match]:
        best = np.arange(len(rows))
        if limit < len(rows):
            best = np.argpartition(similarities, -limit)[-limit:]
        best = best[np.argsort(-similarities[best], kind="stable")]
        return [Match(self.chunk_ids[int(rows[each])], float(similarities[each])) for each in best]


class KeptLibraries:
    """The libraries that were used last, as many as fit.

    The shared one stays, since every search wants it, and so does the one that came last: what is
    too large for the bound alone would otherwise be read anew for each search.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Library] = OrderedDict()

    def get(self, owner: str) -> Library | None:
        if owner in self._kept:
            self._kept.move_to_end(owner)
        return self._kept.get(owner)

    def keep(self, owner: str, library: Library) -> None:
        if library.matrix.nbytes > self._max_bytes:
            log.warning("vectors outgrow the memory meant for them: use pgvector or Qdrant")
        self._kept[owner] = library
        self._kept.move_to_end(owner)
        size = sum(each.matrix.nbytes for each in self._kept.values())
        for other in [name for name in self._kept if name not in (owner, SHARED)]:
            if size <= self._max_bytes:
                return
            size -= self._kept.pop(other).matrix.nbytes

    def drop(self, owner: str) -> None:
        self._kept.pop(owner, None)
