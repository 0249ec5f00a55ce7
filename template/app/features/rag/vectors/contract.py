"""What finds the vectors next to another one. The texts are in the database in any case."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.features.rag.embeddings.contract import Embedder, Matrix

SHARED = ""
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
