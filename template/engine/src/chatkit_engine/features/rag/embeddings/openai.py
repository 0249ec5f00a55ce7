"""Embeds with a model behind an API like OpenAI's."""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import structlog
from openai import APIError, APIStatusError, AsyncOpenAI, omit
from openai.types import CreateEmbeddingResponse

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.models.answer_limits import AnswerOverLimit

log = structlog.stdlib.get_logger(__name__)
MAX_TEXTS = 256
MAX_CHARACTERS = 100_000
# A token has at least one byte, and OpenAI's models accept 8,191 tokens.
MAX_BYTES = 8000
SERVER_ERROR = 500
ADVICE = {
    401: "The embeddings API refused the key: check EMBEDDING_API_KEY or OPENAI_API_KEY.",
    403: "The embeddings API refused the key: check EMBEDDING_API_KEY or OPENAI_API_KEY.",
    404: "The embeddings API does not know the model: check EMBEDDING_MODEL, EMBEDDING_BASE_URL.",
    429: "The embeddings API has reached its rate limit: check the limit, or try again later.",
}
NO_ANSWER = "The embeddings API does not answer: check EMBEDDING_BASE_URL, or try again later."
REFUSED = "The embeddings API refused the texts: check EMBEDDING_MODEL, EMBEDDING_DIMENSIONS."
UNREADABLE = "The embeddings API returned no valid vectors: check EMBEDDING_BASE_URL."
OTHER_LENGTH = (
    "The embeddings API returned vectors of length {length}: set EMBEDDING_DIMENSIONS to {length}."
)


class OpenAiEmbedder:
    """Sends texts to the model in batches.

    `shortened` is the length of vectors to ask for, if it differs from the model's own.
    `answer_seconds` is how long a batch may take with all attempts.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        model: str,
        dimensions: int,
        shortened: int | None,
        min_similarity: float,
        answer_seconds: float,
    ) -> None:
        self.name = f"{model}-{dimensions}"
        self.dimensions = dimensions
        self.min_similarity = min_similarity
        self._client = client
        self._model = model
        self._shortened = shortened
        self._answer_seconds = answer_seconds

    async def embed(self, texts: Sequence[str]) -> Matrix:
        parts = [await self._ask(batch) for batch in _batches(texts)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), np.float32)

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(self, texts: list[str]) -> Matrix:
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._client.embeddings.create(
                    model=self._model, input=texts, dimensions=self._shortened or omit
                )
            return self._matrix(answer, len(texts))
        except (TimeoutError, AnswerOverLimit) as error:
            log.warning("the embeddings were over the limits", error=type(error).__name__)
            raise EmbeddingsUnavailable(NO_ANSWER) from None
        except APIError as error:
            log.warning("the embeddings failed", error=type(error).__name__)
            raise EmbeddingsUnavailable(_advice(error)) from None
        except (
            ValueError,
            TypeError,
            AttributeError,
        ):  # from the client or numpy, for a bad answer
            log.warning("the embeddings cannot be read")
            raise EmbeddingsUnavailable(UNREADABLE) from None

    def _matrix(self, answer: CreateEmbeddingResponse, count: int) -> Matrix:
        """Return the vectors in the order of the texts, scaled to unit length.

        Raises:
            EmbeddingsUnavailable: the vectors do not have the configured length.
            ValueError: the answer is not one vector for each text.
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
    for text in map(_truncated, texts):
        if batch and (len(batch) == MAX_TEXTS or length + len(text) > MAX_CHARACTERS):
            yield batch
            batch, length = [], 0
        batch.append(text)
        length += len(text)
    if batch:
        yield batch


def _truncated(text: str) -> str:
    """Cut the text to the length that models accept. They refuse empty texts, so send `-`."""
    return text.encode()[:MAX_BYTES].decode(errors="ignore").strip() or "-"


def _advice(error: APIError) -> str:
    if not isinstance(error, APIStatusError) or error.status_code >= SERVER_ERROR:
        return NO_ANSWER
    return ADVICE.get(error.status_code, REFUSED)
