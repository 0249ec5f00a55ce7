"""The settings of the language models: the provider, its key, and the fallback model."""

from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import from_json
from pydantic_settings import NoDecode

from chatkit_engine.settings.base import split_list
from chatkit_engine.settings.providers import APP, DEMO, PROVIDERS, Endpoint, Provider, ProviderName
from chatkit_engine.settings.urls import check_base_url

URL_EXAMPLES = {
    "azure_openai_endpoint": "https://NAME.openai.azure.com",
    "ollama_base_url": "http://127.0.0.1:11434/v1",
}
URL_EXAMPLE = "https://api.openai.com/v1"
PRICES_ADVICE = (
    'must be JSON such as {"gpt-5": [1.25, 0.125, 10]}: a model\'s prices in USD per million '
    "tokens of input, cached input and output"
)

RealProvider = Literal["openai", "gemini", "groq", "openrouter", "azure", "ollama", "custom"]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Prices = tuple[Price, Price, Price]


class LlmSettings(BaseModel):
    """The part of the engine's settings that is about models."""

    default_provider: RealProvider = "openai"
    llm_provider: ProviderName | None = None
    llm_model: str | None = Field(
        default=None, validation_alias=AliasChoices("llm_model", "openai_model")
    )
    llm_base_url: str | None = None
    llm_models: Annotated[list[str], NoDecode] = []
    llm_timeout_seconds: float = Field(default=60, gt=0)
    llm_answer_timeout_seconds: float = Field(default=600, gt=0)
    llm_max_retries: int = Field(default=2, ge=0, le=10)
    llm_tracing: bool = False
    llm_prices: Annotated[dict[str, Prices], NoDecode] = {}

    llm_fallback_provider: RealProvider | None = None
    llm_fallback_model: str | None = None
    llm_fallback_base_url: str | None = None
    llm_breaker_failures: int = Field(default=5, ge=1)
    llm_breaker_seconds: float = Field(default=30, gt=0)

    transcription_model: str | None = None
    image_generation: bool = False
    image_partials: int = Field(default=2, ge=0, le=3)

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    gemini_api_key: SecretStr | None = None
    groq_api_key: SecretStr | None = None
    openrouter_api_key: SecretStr | None = None
    azure_openai_api_key: SecretStr | None = None
    azure_openai_endpoint: str | None = None
    ollama_base_url: str | None = None
    llm_api_key: SecretStr | None = None

    @property
    def llm(self) -> Endpoint:
        """The model that answers: LLM_PROVIDER's, else the default provider's, else the demo model.

        The default provider is used only if its key is set.
        """
        if self.llm_provider:
            return self._endpoint(PROVIDERS[self.llm_provider], self.llm_model, self.llm_base_url)
        default = PROVIDERS[self.default_provider]
        endpoint = self._endpoint(default, self.llm_model, self.llm_base_url)
        is_usable = endpoint.key is not None if default.needs_key else not _missing(endpoint)
        return endpoint if is_usable else Endpoint(DEMO, DEMO.model, DEMO.url, None)

    @property
    def llm_missing(self) -> list[str]:
        """The variables to set for the default provider, if the demo model answers without it."""
        default = PROVIDERS[self.default_provider]
        if self.llm_provider or self.llm.provider is not DEMO:
            return []
        return _missing(self._endpoint(default, self.llm_model, self.llm_base_url))

    @property
    def llm_fallback(self) -> Endpoint | None:
        """The model that answers if the first one fails; none for the demo or the application's."""
        first = self.llm
        if first.provider in (DEMO, APP) or not (
            self.llm_fallback_provider or self.llm_fallback_model
        ):
            return None
        provider = PROVIDERS[self.llm_fallback_provider or first.provider.name]
        same_url = first.url if provider is first.provider else None
        url = self.llm_fallback_base_url or same_url
        return self._endpoint(provider, self.llm_fallback_model, url)

    def llm_problems(self, *, is_production: bool) -> list[str]:
        """Return why the model cannot answer, and the fix."""
        endpoint = self.llm
        if endpoint.provider is DEMO and is_production:
            default = PROVIDERS[self.default_provider]
            wanted = self._endpoint(default, self.llm_model, self.llm_base_url)
            fix = f"set {' and '.join(_missing(wanted)) or f'LLM_PROVIDER={wanted.provider.name}'}"
            if self.llm_provider:
                return [f"LLM_PROVIDER=demo is refused in production: {fix}"]
            return [f"a model is needed in production: {fix}"]
        problems = [f"LLM_PROVIDER={endpoint.provider.name} needs {n}" for n in _missing(endpoint)]
        return problems + self._fallback_problems(endpoint) + self._image_problems()

    def _image_problems(self) -> list[str]:
        wires = {each.provider.wire for each in (self.llm, self.llm_fallback) if each}
        if not self.image_generation or wires == {"responses"}:
            return []
        fix = "set LLM_PROVIDER=openai and OPENAI_API_KEY, or IMAGE_GENERATION=false"
        return [f"IMAGE_GENERATION=true needs OpenAI, for the fallback as well: {fix}"]

    def _fallback_problems(self, first: Endpoint) -> list[str]:
        fallback = self.llm_fallback
        if fallback is None:
            return []
        if fallback == first:
            return ["LLM_FALLBACK_MODEL is the same as the first model: name another one"]
        return [
            f"LLM_FALLBACK_PROVIDER={fallback.provider.name} needs {name}"
            for name in _missing(fallback, prefix="LLM_FALLBACK")
        ]

    def _endpoint(self, provider: Provider, model: str | None, url: str | None) -> Endpoint:
        provider_url = self._value(provider.url_setting)
        if provider_url and provider.path:
            provider_url = provider_url.rstrip("/").removesuffix(provider.path) + provider.path
        return Endpoint(
            provider=provider,
            model=model or provider.model,
            url=url or provider_url or provider.url,
            key=self._value(provider.key_setting),
        )

    def _value(self, setting: str | None) -> Any:
        return getattr(self, setting) if setting else None

    @field_validator("llm_prices", mode="wrap")
    @classmethod
    def _usable_prices(cls, value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
        try:
            return parse(from_json(value) if isinstance(value, str) else value)
        except ValueError:
            raise ValueError(PRICES_ADVICE) from None

    @field_validator("llm_models", mode="before")
    @classmethod
    def _split_models(cls, value: Any) -> Any:
        return split_list(value)

    @field_validator(
        "llm_base_url",
        "llm_fallback_base_url",
        "openai_base_url",
        "azure_openai_endpoint",
        "ollama_base_url",
    )
    @classmethod
    def _usable_model_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        return check_base_url(url, URL_EXAMPLES.get(str(info.field_name), URL_EXAMPLE))

    @field_validator(
        "openai_api_key",
        "gemini_api_key",
        "groq_api_key",
        "openrouter_api_key",
        "azure_openai_api_key",
        "llm_api_key",
    )
    @classmethod
    def _usable_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value() if key else ""
        if not text.isascii() or text != text.strip():
            raise ValueError(
                "has characters that a key cannot have, such as a line break: copy it again"
            )
        return key


def _missing(endpoint: Endpoint, prefix: str = "LLM") -> list[str]:
    """Return the variables that must be set before the endpoint can be reached."""
    provider = endpoint.provider
    wanted = [
        (provider.key_setting, provider.needs_key and endpoint.key is None),
        (provider.url_setting or f"{prefix}_BASE_URL", endpoint.url is None),
        (f"{prefix}_MODEL", endpoint.model is None),
    ]
    return [str(name).upper() for name, is_missing in wanted if is_missing]
