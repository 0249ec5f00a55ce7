"""The providers of language models. Add one here and its settings in `models.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

ProviderName = Literal[
    "openai", "gemini", "groq", "openrouter", "azure", "ollama", "custom", "demo", "app"
]

Wire = Literal["responses", "chat_completions", "demo", "app"]


@dataclass(frozen=True)
class Provider:
    """A provider: the names of its settings, and its defaults.

    `url_setting` is the setting with its URL; `path` is appended to that. A provider without `url`
    or `model` needs LLM_BASE_URL or LLM_MODEL. `transcription_model` is None if the provider does
    not transcribe speech, and empty if TRANSCRIPTION_MODEL must name the model.
    """

    name: ProviderName
    wire: Wire = "chat_completions"
    key_setting: str | None = None
    needs_key: bool = True
    url_setting: str | None = None
    url: str | None = None
    path: str = ""
    model: str | None = None
    transcription_model: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """One model of one provider, with everything that a client needs to reach it."""

    provider: Provider
    model: str | None
    url: str | None
    key: SecretStr | None


OPENAI = Provider(
    "openai",
    wire="responses",
    key_setting="openai_api_key",
    url_setting="openai_base_url",
    url="https://api.openai.com/v1",
    model="gpt-5.6-luna",
    transcription_model="gpt-4o-mini-transcribe",
)

GEMINI = Provider(
    "gemini",
    key_setting="gemini_api_key",
    url="https://generativelanguage.googleapis.com/v1beta/openai",
    model="gemini-flash-latest",
)

GROQ = Provider(
    "groq",
    key_setting="groq_api_key",
    url="https://api.groq.com/openai/v1",
    model="openai/gpt-oss-120b",
    transcription_model="whisper-large-v3-turbo",
)

OPENROUTER = Provider(
    "openrouter",
    key_setting="openrouter_api_key",
    url="https://openrouter.ai/api/v1",
    model="openrouter/auto",
)

AZURE = Provider(
    "azure",
    key_setting="azure_openai_api_key",
    url_setting="azure_openai_endpoint",
    path="/openai/v1",
    transcription_model="",
)

OLLAMA = Provider(
    "ollama",
    needs_key=False,
    url_setting="ollama_base_url",
    url="http://127.0.0.1:11434/v1",
)

CUSTOM = Provider(
    "custom",
    key_setting="llm_api_key",
    needs_key=False,
    transcription_model="",
)

DEMO = Provider("demo", wire="demo", needs_key=False, url="demo", model="demo")
# The application creates the model: `builder.set_model`.
APP = Provider("app", wire="app", needs_key=False, url="app", model="app")

PROVIDERS: Mapping[str, Provider] = {
    row.name: row for row in (OPENAI, GEMINI, GROQ, OPENROUTER, AZURE, OLLAMA, CUSTOM, DEMO, APP)
}
