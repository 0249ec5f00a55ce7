"""The models at the providers' endpoints, each behind its breaker and before its fallback.

The language models: one file for each family of providers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agents import Model, ModelSettings
from openai import AsyncOpenAI

from chatkit_engine.models.chat_completions import ChatCompletionsModel
from chatkit_engine.models.chat_model import ChatModel, Transcribe
from chatkit_engine.models.client import create_client
from chatkit_engine.models.demo.model import create_demo_model
from chatkit_engine.models.resilience import Breaker, FallbackModel, GuardedModel, retry_settings
from chatkit_engine.models.responses import ResponsesModel
from chatkit_engine.models.transcription import create_transcribe
from chatkit_engine.settings.core import Settings, SetupError
from chatkit_engine.settings.providers import APP, DEMO, Endpoint, Wire

WIRES: Mapping[Wire, Callable[[str, AsyncOpenAI], Model]] = {
    "responses": ResponsesModel,
    "chat_completions": ChatCompletionsModel,
}


class Models:
    """All models of one process: one client for each provider, one breaker for each model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, AsyncOpenAI] = {}
        self._breakers: list[Breaker] = []
        self._guarded: dict[Endpoint, Model] = {}
        self._complete: dict[str, Model] = {}

    def chat_model(self) -> ChatModel:
        """Return the model that the settings choose."""
        settings, name = self._settings, self._settings.llm.model or ""
        retry = retry_settings(settings.llm_max_retries, settings.llm_timeout_seconds)
        return ChatModel(
            name=name,
            model=self.named(name),
            settings=ModelSettings(store=False, retry=retry),
            close=self.close,
            transcribe=self._transcribe(),
            trouble=self.trouble,
            alternatives=self.named,
        )

    def named(self, name: str) -> Model:
        """Return the first provider's model of that name, with what stands in for it."""
        if name not in self._complete:
            self._complete[name] = self._with_fallback(replace(self._settings.llm, model=name))
        return self._complete[name]

    def trouble(self) -> str:
        """Say which models are down."""
        return "; ".join(breaker.trouble for breaker in self._breakers if breaker.trouble)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _with_fallback(self, endpoint: Endpoint) -> Model:
        first, fallback = self._guard(endpoint), self._settings.llm_fallback
        if fallback is None or fallback == endpoint:
            return first
        return FallbackModel(first, self._guard(fallback))

    def _guard(self, endpoint: Endpoint) -> Model:
        if endpoint not in self._guarded:
            name = endpoint.model or ""
            model = WIRES[endpoint.provider.wire](name, self._client(endpoint))
            breaker = self._breaker(f"{endpoint.provider.name}'s {name}")
            self._guarded[endpoint] = GuardedModel(model, breaker)
        return self._guarded[endpoint]

    def _breaker(self, name: str) -> Breaker:
        settings = self._settings
        breaker = Breaker(name, settings.llm_breaker_failures, settings.llm_breaker_seconds)
        self._breakers.append(breaker)
        return breaker

    def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        place = f"{endpoint.provider.name} {endpoint.url}"
        if place not in self._clients:
            seconds = self._settings.llm_timeout_seconds
            self._clients[place] = create_client(endpoint, seconds)
        return self._clients[place]

    def _transcribe(self) -> Transcribe | None:
        settings, endpoint = self._settings, self._settings.llm
        default = endpoint.provider.transcription_model
        model = settings.transcription_model or default
        if default is None or not model:
            return None
        return create_transcribe(model, self._client(endpoint), settings.llm_max_retries)


def create_model(settings: Settings) -> ChatModel:
    """Return the model that the settings ask for.

    Raises:
        SetupError: LLM_PROVIDER=app asks for a model of the application's own.
    """
    if settings.llm.provider is DEMO:
        return create_demo_model(settings)
    if settings.llm.provider is APP:
        raise SetupError(
            "create_model cannot make the model of LLM_PROVIDER=app: "
            "set LLM_PROVIDER to the provider that it is to use"
        )
    return Models(settings).chat_model()
