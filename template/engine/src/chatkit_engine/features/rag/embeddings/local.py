"""Embeds without a model: hashes words, word bigrams and character trigrams into 384 numbers.

It gives the same vectors on every machine, and needs no key and no download. It finds texts that
share words or word stems with the query, but knows no synonyms. The method is signed feature
hashing (Weinberger et al., 2009).
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
from chatkit_engine.features.rag.words import STOP_WORDS, fold, words_of

DIMENSIONS = 384
BATCH = 32
MAX_WORD = 40
NGRAM = 3
CACHED_WORDS = 20_000
STOP_WORD_WEIGHT = 0.02
BIGRAM_WEIGHT = 0.3
NGRAM_WEIGHT = 0.8

# In the documents of the tests, passages for unrelated questions are below this value. So are some
# right answers, but the search finds most of them by their words (see `evaluate`).
MIN_SIMILARITY = 0.25
SIGN_BIT = 1 << 31
Features = tuple[tuple[int, float], ...]


class LocalEmbedder:
    """Embeds without a model. The module says what it can find."""

    name = "local-1"
    dimensions = DIMENSIONS
    min_similarity = MIN_SIMILARITY

    async def embed(self, texts: Sequence[str]) -> Matrix:
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        parts = [await asyncio.to_thread(_embed, some) for some in batches]
        return np.concatenate(parts) if parts else np.empty((0, DIMENSIONS), np.float32)

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""


def _embed(texts: Sequence[str]) -> Matrix:
    sums = [_sums(text) for text in texts]
    return _normalized(np.array(sums, np.float64).reshape(len(texts), DIMENSIONS))


def _sums(text: str) -> list[float]:
    sums = [0.0] * DIMENSIONS
    for features, weight in _weighted(text):
        for column, sign in features:
            sums[column] += sign * weight
    return sums


def _normalized(sums: NDArray[np.float64]) -> Matrix:
    """Scale each row to unit length. A text without words has zeros, and becomes (1, 0, ...)."""
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums[lengths[:, 0] == 0, 0] = 1
    return (sums / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _weighted(text: str) -> Iterable[tuple[Features, float]]:
    """Yield the features of the words and bigrams, with their weights."""
    folded = text if text.isascii() else fold(text.casefold())
    words = [word[:MAX_WORD] for word in words_of(folded)]
    for word, times in Counter(words).items():
        yield (
            _word_features(word),
            (1 + log(times)) * (STOP_WORD_WEIGHT if word in STOP_WORDS else 1),
        )
    content_words = [word for word in words if word not in STOP_WORDS]
    for (first, second), times in Counter(pairwise(content_words)).items():
        yield (_hashed(f"{first} {second}"),), (1 + log(times)) * BIGRAM_WEIGHT


@lru_cache(CACHED_WORDS)
def _word_features(word: str) -> Features:
    """Return the feature of the whole word, and those of its trigrams."""
    framed = f"<{word}>"
    ngrams = {framed[start : start + NGRAM] for start in range(len(framed) - NGRAM + 1)}
    share = NGRAM_WEIGHT / sqrt(len(ngrams))
    hashed = [_hashed(f"#{ngram}") for ngram in sorted(ngrams)]
    return (_hashed(word), *((column, sign * share) for column, sign in hashed))


def _hashed(feature: str) -> tuple[int, float]:
    value = crc32(feature.encode())
    return (value & ~SIGN_BIT) % DIMENSIONS, 1.0 if value & SIGN_BIT else -1.0
