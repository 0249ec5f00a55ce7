"""Vectors without a model: words, pairs of words and parts of words, hashed into 384 numbers.

The same on every machine, with no key and nothing to download. It finds texts that share words or
word stems with the query; it does not know synonyms. The method is feature hashing with signs
(Weinberger et al., 2009).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.words import PLAIN, fold, words_of

DIMENSIONS = 384
SLICE = 32
MAX_WORD = 40
PART = 3
CACHED_WORDS = 20_000
PLAIN_WEIGHT = 0.02
PAIR_WEIGHT = 0.3
PARTS_WEIGHT = 0.8

# Over the documents in the tests the nearest passage to a question about something else is below
# this; so are some right ones, most of which a search finds by their words (see `evaluate`).
MIN_SIMILARITY = 0.25
SIGN_BIT = 1 << 31
Features = tuple[tuple[int, float], ...]


class LocalEmbedder:
    """Embeds without a model. See the module for what it can do."""

    name = "local-1"
    dimensions = DIMENSIONS
    min_similarity = MIN_SIMILARITY

    async def embed(self, texts: Sequence[str]) -> Matrix:
        slices = [texts[start : start + SLICE] for start in range(0, len(texts), SLICE)]
        parts = [await asyncio.to_thread(_embed, some) for some in slices]
        return np.concatenate(parts) if parts else np.empty((0, DIMENSIONS), np.float32)

    async def aclose(self) -> None:
        """Nothing is open."""


def _embed(texts: Sequence[str]) -> Matrix:
    sums = [_sums(text) for text in texts]
    return _of_unit_length(np.array(sums, np.float64).reshape(len(texts), DIMENSIONS))


def _sums(text: str) -> list[float]:
    sums = [0.0] * DIMENSIONS
    for features, weight in _weighted(text):
        for column, sign in features:
            sums[column] += sign * weight
    return sums


def _of_unit_length(sums: NDArray[np.float64]) -> Matrix:
    """Scale each row; one that says nothing points where no text points on purpose."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums[lengths[:, 0] == 0, 0] = 1
    return (sums / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _weighted(text: str) -> Iterable[tuple[Features, float]]:
    """Yield the features of a text's words and of their pairs, with their weights."""
    folded = text if text.isascii() else fold(text.casefold())
    words = [word[:MAX_WORD] for word in words_of(folded)]
    for word, times in Counter(words).items():
        yield _word(word), (1 + log(times)) * (PLAIN_WEIGHT if word in PLAIN else 1)
    telling = [word for word in words if word not in PLAIN]
    for (first, second), times in Counter(pairwise(telling)).items():
        yield (_hashed(f"{first} {second}"),), (1 + log(times)) * PAIR_WEIGHT


@lru_cache(CACHED_WORDS)
def _word(word: str) -> Features:
    """Return a word's own feature, and those of its parts."""
    framed = f"<{word}>"
    parts = {framed[start : start + PART] for start in range(len(framed) - PART + 1)}
    share = PARTS_WEIGHT / sqrt(len(parts))
    hashed = [_hashed(f"#{part}") for part in sorted(parts)]
    return (_hashed(word), *((column, sign * share) for column, sign in hashed))


def _hashed(feature: str) -> tuple[int, float]:
    value = crc32(feature.encode())
    return (value & ~SIGN_BIT) % DIMENSIONS, 1.0 if value & SIGN_BIT else -1.0
