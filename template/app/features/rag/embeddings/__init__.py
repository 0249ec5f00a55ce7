"""Which embedder the settings choose."""

from typing import NamedTuple

from app.features.rag.embeddings.contract import Embedder
from app.features.rag.embeddings.local import LocalEmbedder
from app.features.rag.embeddings.openai import OpenAiEmbedder
from app.features.rag.settings import RagSettings, wrong_setting
from app.provider_table import CUSTOM, OPENAI, Endpoint
from app.providers.client import create_client
from app.settings import Settings


class Model(NamedTuple):
    """What is known of a model: the length of its vectors, and the cosine that tells nothing."""

    dimensions: int | None
    min_similarity: float


LOCAL = "local"
DEFAULT_MODEL = "text-embedding-3-small"
MIN_SIMILARITY = 0.25
MODELS = {
    DEFAULT_MODEL: Model(1536, MIN_SIMILARITY),
    "text-embedding-3-large": Model(3072, MIN_SIMILARITY),
    "text-embedding-ada-002": Model(1536, 0.75),
}


def create_embedder(settings: RagSettings, core: Settings) -> Embedder:
    """Return the embedder: a model where one is named or OpenAI's key is there, else the local one.

    Raises:
        ValidationError: what the model needs is not set.
    """
    key = settings.embedding_api_key or core.openai_api_key
    is_model = settings.embedding_model or settings.embedding_base_url or key
    if not is_model or settings.embedding_model == LOCAL:
        return LocalEmbedder()
    endpoint = _endpoint(settings, core)
    model = endpoint.model or DEFAULT_MODEL
    known = MODELS.get(model, Model(None, MIN_SIMILARITY))
    dimensions = settings.embedding_dimensions or known.dimensions
    if dimensions is None:
        raise wrong_setting(
            "embedding_dimensions", "set it to the length of EMBEDDING_MODEL's vectors"
        )
    client = create_client(endpoint, core.llm_timeout_seconds)
    return OpenAiEmbedder(
        client.with_options(max_retries=core.llm_max_retries),
        model,
        dimensions,
        dimensions if known.dimensions not in (None, dimensions) else None,
        known.min_similarity,
    )


def _endpoint(settings: RagSettings, core: Settings) -> Endpoint:
    """Return where the model is. OpenAI's key goes to OpenAI, or to what stands in for it."""
    model = settings.embedding_model or DEFAULT_MODEL
    if settings.embedding_base_url:
        return Endpoint(CUSTOM, model, settings.embedding_base_url, settings.embedding_api_key)
    key = settings.embedding_api_key or core.openai_api_key
    if key is None:
        raise wrong_setting(
            "embedding_model",
            "needs EMBEDDING_API_KEY or OPENAI_API_KEY, or a server's EMBEDDING_BASE_URL",
        )
    chat = core.llm
    url = chat.url if chat.provider is OPENAI else core.openai_base_url or OPENAI.url
    return Endpoint(OPENAI, model, url, key)
