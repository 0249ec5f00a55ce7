"""The contract of vector stores. They keep vectors only: the texts are always in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from chatkit_engine.features.rag.embeddings.embedder import Embedder, Matrix

# The owner of documents that every user may read.
SHARED = ""
LENGTH = 16


@dataclass(frozen=True)
class Vectors:
    """Vectors of chunks of one document, with a row of the matrix for each chunk."""

    user_id: str
    document_id: str
    chunk_ids: Sequence[str]
    matrix: Matrix


class Match(NamedTuple):
    """A chunk, and the cosine between its vector and the query's."""

    chunk_id: str
    similarity: float


class VectorStore(Protocol):
    """Keeps the vectors of one embedder.

    `name` identifies the place: stores of different names have different vectors.

    Raises:
        Unavailable: from each method, when the store does not answer.
    """

    name: str

    async def add(self, vectors: Vectors) -> None:
        """Add vectors, or replace those of the same chunks."""
        ...

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Remove vectors of the owner. Unknown chunks are ignored."""
        ...

    async def remove_user(self, user_id: str) -> None:
        """Remove all vectors of the owner, from every embedder."""
        ...

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return the nearest of the user's own and the shared vectors for each query, best first.

        `document_ids` limits the search to these documents.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def vectors_in(store: VectorStore, embedder: Embedder) -> str:
    """Return the mark that a document's row has if its vectors are in this store."""
    return f"{store.name} {embedder.name}"


def short_name(embedder_name: str, dimensions: int) -> str:
    """Return a name of hexadecimal digits, which SQL and URLs take without quoting."""
    return sha256(f"{dimensions} {embedder_name}".encode()).hexdigest()[:LENGTH]
