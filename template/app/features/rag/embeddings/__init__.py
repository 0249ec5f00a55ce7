"""Which embedder the settings choose."""

from typing import NamedTuple, Self

from pydantic import BaseModel, SecretStr, model_validator

from app.features.rag.embeddings.contract import Embedder
from app.features.rag.embeddings.local import LocalEmbedder
from app.features.rag.embeddings.openai import OpenAiEmbedder
from app.features.rag.settings import RagSettings
from app.provider_table import CUSTOM, OPENAI, Endpoint
from app.providers.client import create_client
from app.settings import Settings


class Model(NamedTuple):
    """What is known of a model: the length of its vectors, and the cosine that tells nothing."""

    dimensions: int
    min_similarity: float


DEFAULT_MODEL = "text-embedding-3-small"
MIN_SIMILARITY = 0.25
MODELS = {
    DEFAULT_MODEL: Model(1536, MIN_SIMILARITY),
    "text-embedding-3-large": Model(3072, MIN_SIMILARITY),
    "text-embedding-ada-002": Model(1536, 0.75),
}


class Choice(BaseModel):
    """A model at an API, complete: validated so that a start stops with a message."""

    model: str
    url: str | None
    key: SecretStr | None
    dimensions: int | None
    has_own_url: bool

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.key is None and not self.has_own_url:
            raise ValueError(
                "EMBEDDING_MODEL needs EMBEDDING_API_KEY or OPENAI_API_KEY, "
                "or the EMBEDDING_BASE_URL of a server without a key"
            )
        if self.dimensions is None and self.model not in MODELS:
            raise ValueError(
                "EMBEDDING_DIMENSIONS: say how long the vectors of EMBEDDING_MODEL are"
            )
        return self


def create_embedder(settings: RagSettings, core: Settings) -> Embedder:
    """Return the embedder: a model where one is named or OpenAI's key is there, else the local one.

    Raises:
        ValidationError: something lacks, or does not fit.
    """
    key = settings.embedding_api_key or core.openai_api_key
    if not (settings.embedding_model or settings.embedding_base_url or key):
        return LocalEmbedder()
    choice = _choice(settings, core)
    known = MODELS.get(choice.model, Model(0, MIN_SIMILARITY))
    provider = CUSTOM if choice.has_own_url else OPENAI
    endpoint = Endpoint(provider, choice.model, choice.url, choice.key)
    client = create_client(endpoint, core.llm_timeout_seconds)
    dimensions = choice.dimensions or known.dimensions
    return OpenAiEmbedder(
        client.with_options(max_retries=core.llm_max_retries),
        choice.model,
        dimensions,
        dimensions if known.dimensions not in (0, dimensions) else None,
        known.min_similarity,
    )


def _choice(settings: RagSettings, core: Settings) -> Choice:
    """OpenAI's key goes to OpenAI alone, or to the place that stands in for it."""
    own_url = settings.embedding_base_url
    return Choice(
        model=settings.embedding_model or DEFAULT_MODEL,
        url=own_url or _openai_url(core),
        key=settings.embedding_api_key or (None if own_url else core.openai_api_key),
        dimensions=settings.embedding_dimensions,
        has_own_url=own_url is not None,
    )


def _openai_url(core: Settings) -> str | None:
    chat = core.llm
    return chat.url if chat.provider is OPENAI else core.openai_base_url or OPENAI.url
