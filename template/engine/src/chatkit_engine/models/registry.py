"""Creates the models: each one behind a circuit breaker and, if configured, with a fallback."""

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
from chatkit_engine.settings.base import SetupError
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.providers import APP, DEMO, Endpoint, Wire

WIRES: Mapping[Wire, Callable[[str, AsyncOpenAI], Model]] = {
    "responses": ResponsesModel,
    "chat_completions": ChatCompletionsModel,
}


class Models:
    """The models of one process, with one client per endpoint and one breaker per model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, AsyncOpenAI] = {}
        self._breakers: list[Breaker] = []
        self._guarded: dict[Endpoint, Model] = {}
        self._named: dict[str, Model] = {}

    def chat_model(self) -> ChatModel:
        """Return the model that the settings name."""
        settings, name = self._settings, self._settings.llm.model or ""
        retry = retry_settings(settings.llm_max_retries, settings.llm_timeout_seconds)
        return ChatModel(
            name=name,
            model=self.named(name),
            settings=ModelSettings(store=False, retry=retry),
            close=self.close,
            transcribe=self._transcribe(),
            problem=self.problem,
            alternatives=self.named,
        )

    def named(self, name: str) -> Model:
        """Return the first provider's model of that name, with its fallback."""
        if name not in self._named:
            self._named[name] = self._with_fallback(replace(self._settings.llm, model=name))
        return self._named[name]

    def guarded(self, endpoint: Endpoint) -> Model:
        """Return the model of an endpoint behind its breaker, without a fallback."""
        if endpoint not in self._guarded:
            name = endpoint.model or ""
            model = WIRES[endpoint.provider.wire](name, self._client(endpoint))
            breaker = Breaker(
                f"{endpoint.provider.name}'s {name}",
                self._settings.llm_breaker_failures,
                self._settings.llm_breaker_seconds,
            )
            self._breakers.append(breaker)
            self._guarded[endpoint] = GuardedModel(model, breaker)
        return self._guarded[endpoint]

    def problem(self) -> str:
        """Return which models are down; empty if none is."""
        return "; ".join(breaker.problem for breaker in self._breakers if breaker.problem)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _with_fallback(self, endpoint: Endpoint) -> Model:
        first, fallback = self.guarded(endpoint), self._settings.llm_fallback
        if fallback is None or fallback == endpoint:
            return first
        return FallbackModel(first, self.guarded(fallback))

    def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        key = f"{endpoint.provider.name} {endpoint.url}"
        if key not in self._clients:
            self._clients[key] = create_client(
                endpoint,
                self._settings.llm_timeout_seconds,
                self._settings.llm_answer_timeout_seconds,
            )
        return self._clients[key]

    def _transcribe(self) -> Transcribe | None:
        settings, endpoint = self._settings, self._settings.llm
        default = endpoint.provider.transcription_model
        model = settings.transcription_model or default
        if default is None or not model:
            return None
        return create_transcribe(
            model,
            self._client(endpoint),
            settings.llm_max_retries,
            settings.llm_answer_timeout_seconds,
        )


def create_model(settings: Settings) -> ChatModel:
    """Return the model that the settings name, without connecting to it.

    Raises:
        SetupError: LLM_PROVIDER=app names the application's own model.
    """
    if settings.llm.provider is DEMO:
        return create_demo_model(settings)
    if settings.llm.provider is APP:
        raise SetupError(
            "create_model cannot create the model of LLM_PROVIDER=app: "
            "set LLM_PROVIDER to the provider that it should use"
        )
    return Models(settings).chat_model()
