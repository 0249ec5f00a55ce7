"""What finds the vectors next to another one. The texts are in the database in any case.

A short name for what vectors can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from chatkit_engine.features.rag.embeddings.embedder import Embedder, Matrix

SHARED = ""
LENGTH = 16

"""The owner of documents that every user may read."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of some chunks of one document, a row of the matrix for each chunk."""

    user_id: str
    document_id: str
    chunk_ids: Sequence[str]
    matrix: Matrix


class Match(NamedTuple):
    """A chunk, and the cosine of its vector with the query's."""

    chunk_id: str
    similarity: float


class VectorStore(Protocol):
    """Keeps vectors of one embedder.

    `name` says where they are: vectors that were added to a store of another name are not here.

    Raises:
        Unavailable: from each method, when the store does not answer.
    """

    name: str

    async def add(self, vectors: Vectors) -> None:
        """Add vectors, or replace those of the same chunks."""
        ...

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Remove vectors of the owner's. One that is not there is no error."""
        ...

    async def remove_user(self, user_id: str) -> None:
        """Remove all of the owner's vectors, whichever embedder they are of."""
        ...

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return for each query the nearest of the user's own and the shared vectors, best first.

        With `document_ids` only those of these documents.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


def vectors_in(store: VectorStore, embedder: Embedder) -> str:
    """Return what documents remember of where their vectors are, and of which embedder."""
    return f"{store.name} {embedder.name}"


def short_name(embedder_name: str, dimensions: int) -> str:
    """Return a name of letters and digits, fit for SQL and for URLs as it is."""
    return sha256(f"{dimensions} {embedder_name}".encode()).hexdigest()[:LENGTH]
