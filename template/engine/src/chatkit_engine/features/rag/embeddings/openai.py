"""Vectors of a model behind the OpenAI wire."""

from collections.abc import Iterable, Sequence

import numpy as np
import structlog
from openai import APIError, APIStatusError, AsyncOpenAI, omit
from openai.types import CreateEmbeddingResponse

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable

log = structlog.stdlib.get_logger(__name__)
MAX_TEXTS = 256
MAX_CHARACTERS = 100_000
MAX_BYTES = 8000

"""A token has at least one byte, and OpenAI's models take 8,191 tokens."""

ADVICE = {
    401: "The embeddings' API refused the key: check EMBEDDING_API_KEY, or else OPENAI_API_KEY.",
    403: "The embeddings' API refused the key: check EMBEDDING_API_KEY, or else OPENAI_API_KEY.",
    404: "The embeddings' API does not know the model: check EMBEDDING_MODEL, EMBEDDING_BASE_URL.",
    429: "The embeddings' API takes no more requests just now: check its limits, or wait.",
}

NO_ANSWER = "The embeddings' API does not answer: check EMBEDDING_BASE_URL, or wait."
REFUSED = "The embeddings' API refused the texts: check EMBEDDING_MODEL, EMBEDDING_DIMENSIONS."
UNREADABLE = "The embeddings' API gave no vectors that can be read: check EMBEDDING_BASE_URL."

OTHER_LENGTH = (
    "The embeddings' API gave vectors of length {length}: set EMBEDDING_DIMENSIONS to it."
)

SERVER_ERROR = 500


class OpenAiEmbedder:
    """Asks the model, in batches. `shortened` is the length to ask for, where it is not its own."""

    def __init__(
        self,
        client: AsyncOpenAI,
        model: str,
        dimensions: int,
        shortened: int | None,
        min_similarity: float,
    ) -> None:
        self.name = f"{model}-{dimensions}"
        self.dimensions = dimensions
        self.min_similarity = min_similarity
        self._client = client
        self._model = model
        self._shortened = shortened

    async def embed(self, texts: Sequence[str]) -> Matrix:
        parts = [await self._ask(batch) for batch in _batches(texts)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), np.float32)

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(self, texts: list[str]) -> Matrix:
        try:
            answer = await self._client.embeddings.create(
                model=self._model, input=texts, dimensions=self._shortened or omit
            )
            return self._matrix(answer, len(texts))
        except APIError as error:
            log.warning("the embeddings failed", error=type(error).__name__)
            raise EmbeddingsUnavailable(_advice(error)) from None
        except (ValueError, TypeError, AttributeError):  # what the client or numpy cannot read
            log.warning("the embeddings cannot be read")
            raise EmbeddingsUnavailable(UNREADABLE) from None

    def _matrix(self, answer: CreateEmbeddingResponse, count: int) -> Matrix:
        """Return the vectors in the order of the texts, and of unit length.

        Raises:
            EmbeddingsUnavailable: they are of another length than was said.
            ValueError: they are not one for each text, or no vectors.
        """
        data = sorted(answer.data, key=lambda each: each.index)
        matrix = np.array([each.embedding for each in data], np.float32)
        lengths = np.linalg.norm(matrix, axis=-1, keepdims=True)
        if [each.index for each in data] != list(range(count)):
            raise ValueError("the vectors do not fit the texts")
        if not np.isfinite(lengths).all() or not lengths.all():
            raise ValueError("a vector has no direction")
        if matrix.shape[1] != self.dimensions:
            raise EmbeddingsUnavailable(OTHER_LENGTH.format(length=matrix.shape[1]))
        return matrix / lengths


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    length = 0
    for text in map(_shortened, texts):
        if batch and (len(batch) == MAX_TEXTS or length + len(text) > MAX_CHARACTERS):
            yield batch
            batch, length = [], 0
        batch.append(text)
        length += len(text)
    if batch:
        yield batch


def _shortened(text: str) -> str:
    """Cut the text to what a model takes; one that is empty is refused there."""
    return text.encode()[:MAX_BYTES].decode(errors="ignore").strip() or "-"


def _advice(error: APIError) -> str:
    if not isinstance(error, APIStatusError) or error.status_code >= SERVER_ERROR:
        return NO_ANSWER
    return ADVICE.get(error.status_code, REFUSED)
