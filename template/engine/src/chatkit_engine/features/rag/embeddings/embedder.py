"""The contract of embedders, which turn texts into vectors, and a cache for queries."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from cachetools import TTLCache
from numpy.typing import NDArray

# One row for each text, each of unit length.
Matrix = NDArray[np.float32]
Key = tuple[str, str]
Found = dict[Key, NDArray[np.float32]]
MAX_ENTRIES = 2048


class Embedder(Protocol):
    """Embeds texts.

    Only vectors from embedders of the same `name` can be compared. Below the cosine
    `min_similarity`, a match means nothing.
    """

    name: str
    dimensions: int
    min_similarity: float

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return a vector for each text.

        Raises:
            Unavailable: the model's API does not answer.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class CachedEmbedder:
    """Embeds queries, and remembers their vectors for `seconds`.

    A query that is being embedded already is awaited, not sent again. Users do not share entries,
    because the time of an answer would reveal what other users search for.
    """

    def __init__(self, embedder: Embedder, seconds: float, entries: int = MAX_ENTRIES) -> None:
        self.embedder = embedder
        self._cache: TTLCache[Key, NDArray[np.float32]] = TTLCache(entries, seconds)
        self._pending: dict[Key, asyncio.Task[Found]] = {}

    async def embed_for(self, user_id: str, texts: Sequence[str]) -> Matrix:
        """Return a vector for each text.

        Raises:
            Unavailable: the model's API does not answer.
        """
        keys = [(user_id, text) for text in dict.fromkeys(texts)]
        cached = ((key, self._cache.get(key)) for key in keys)
        found: Found = {key: vector for key, vector in cached if vector is not None}
        self._start([key for key in keys if key not in found and key not in self._pending])
        for task in {self._pending[key] for key in keys if key not in found}:
            found |= await asyncio.shield(task)
        vectors = [found[user_id, text] for text in texts]
        return np.stack(vectors) if vectors else np.empty((0, self.embedder.dimensions), np.float32)

    async def aclose(self) -> None:
        """Cancel pending requests and close the embedder."""
        running = set(self._pending.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.embedder.aclose()

    def _start(self, keys: list[Key]) -> None:
        if not keys:
            return
        task = asyncio.create_task(self._embed(keys))
        self._pending |= dict.fromkeys(keys, task)
        task.add_done_callback(_consume_error)

    async def _embed(self, keys: list[Key]) -> Found:
        try:
            matrix = await self.embedder.embed([text for _, text in keys])
            found = dict(zip(keys, matrix, strict=True))
            self._cache.update(found)
            return found
        finally:
            for key in keys:
                del self._pending[key]


def _consume_error(task: asyncio.Task[Found]) -> None:
    """Read the error, because asyncio warns of an error that nobody has read."""
    if not task.cancelled():
        task.exception()
