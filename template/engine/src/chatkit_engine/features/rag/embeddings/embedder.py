"""What turns texts into vectors.

Remembers the vectors of queries, each user's apart."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from cachetools import TTLCache
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
MAX_ENTRIES = 2048

"""One row for each text, each of unit length."""


class Embedder(Protocol):
    """Embeds texts.

    `name` says which vectors can be compared: those of one name. `min_similarity` is the cosine
    below which its vectors tell nothing.
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


Key = tuple[str, str]
Found = dict[Key, NDArray[np.float32]]


class CachedEmbedder:
    """Embeds queries. One that is asked for again within `seconds` is not embedded again.

    What is being asked for already is waited for. A user never gets what another had embedded: the
    time that an answer takes would tell what others look for.
    """

    def __init__(self, embedder: Embedder, seconds: float, entries: int = MAX_ENTRIES) -> None:
        self.embedder = embedder
        self._kept: TTLCache[Key, NDArray[np.float32]] = TTLCache(entries, seconds)
        self._asked: dict[Key, asyncio.Task[Found]] = {}

    async def embed_for(self, user_id: str, texts: Sequence[str]) -> Matrix:
        """Return a vector for each text.

        Raises:
            Unavailable: the model's API does not answer.
        """
        keys = [(user_id, text) for text in dict.fromkeys(texts)]
        kept = ((key, self._kept.get(key)) for key in keys)
        found: Found = {key: vector for key, vector in kept if vector is not None}
        self._ask([key for key in keys if key not in found and key not in self._asked])
        for task in {self._asked[key] for key in keys if key not in found}:
            found |= await asyncio.shield(task)
        vectors = [found[user_id, text] for text in texts]
        return np.stack(vectors) if vectors else np.empty((0, self.embedder.dimensions), np.float32)

    async def aclose(self) -> None:
        """End what is being asked for, and close the embedder."""
        running = set(self._asked.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.embedder.aclose()

    def _ask(self, keys: list[Key]) -> None:
        if not keys:
            return
        task = asyncio.create_task(self._embed(keys))
        self._asked |= dict.fromkeys(keys, task)
        task.add_done_callback(_look_at)

    async def _embed(self, keys: list[Key]) -> Found:
        try:
            matrix = await self.embedder.embed([text for _, text in keys])
            found = dict(zip(keys, matrix, strict=True))
            self._kept.update(found)
            return found
        finally:
            for key in keys:
                del self._asked[key]


def _look_at(task: asyncio.Task[Found]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
