"""OpenAI's Responses API, or a server that speaks it (`OPENAI_BASE_URL`)."""

from agents import ModelRetrySettings, ModelSettings, OpenAIResponsesModel, retry_policies
from agents.models import get_default_model
from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout

from app.providers.base import ChatModel
from app.providers.merge import merge_deltas
from app.settings import Settings

CONNECT_SECONDS = 5.0
RETRIED_STATUS = (408, 409, 429, 500, 502, 503, 504)


def create_openai_model(settings: Settings) -> ChatModel:
    """Return the model over the client that reads fastest: C parser, merged deltas.

    The SDK retries, not the client: before the first token only, honouring Retry-After.
    """
    if settings.openai_api_key is None:
        raise ValueError("OPENAI_API_KEY is not set")
    timeout = Timeout(settings.llm_timeout_seconds, connect=CONNECT_SECONDS)
    http_client = DefaultAioHttpClient(timeout=timeout, event_hooks={"response": [merge_deltas]})
    client = AsyncOpenAI(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        max_retries=0,
        timeout=timeout,
        http_client=http_client,
    )
    name = settings.llm_model or get_default_model()
    return ChatModel(
        name=name,
        model=OpenAIResponsesModel(model=name, openai_client=client),
        settings=ModelSettings(store=False, retry=_retry(settings)),
        close=client.close,
    )


def _retry(settings: Settings) -> ModelRetrySettings:
    policy = retry_policies.any(
        retry_policies.provider_suggested(),
        retry_policies.retry_after(),
        retry_policies.network_error(),
        retry_policies.http_status(RETRIED_STATUS),
    )
    return ModelRetrySettings(max_retries=settings.llm_max_retries, policy=policy)
