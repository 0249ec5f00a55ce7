"""Tests which model the settings select, and the messages for missing settings."""

from typing import Any

import pytest
from agents.models import get_default_model
from pydantic import ValidationError
from support.app import SECRET, make_settings

from chatkit_engine.settings.base import settings_errors
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.models import LlmSettings
from chatkit_engine.settings.providers import DEMO, OPENAI, PROVIDERS, Provider

REAL = [row for row in PROVIDERS.values() if row is not DEMO]
COMPLETE: dict[str, Any] = {
    "llm_model": "some-model",
    "llm_base_url": "https://models.example.com/v1",
    "openai_api_key": "sk-test",
    "gemini_api_key": "a-key",
    "groq_api_key": "a-key",
    "openrouter_api_key": "a-key",
    "azure_openai_api_key": "a-key",
}


def _problems(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        make_settings(**values)
    return "; ".join(settings_errors(caught.value))


@pytest.mark.parametrize("row", REAL, ids=lambda row: row.name)
def test_a_named_provider_with_its_settings_answers(row: Provider) -> None:
    endpoint = make_settings(llm_provider=row.name, **COMPLETE).llm

    assert endpoint.provider is row
    assert endpoint.model == "some-model"
    assert endpoint.url == "https://models.example.com/v1"
    assert (endpoint.key is not None) == row.needs_key


@pytest.mark.parametrize(
    ("provider", "values", "names"),
    [
        ("openai", {}, ["OPENAI_API_KEY"]),
        ("gemini", {}, ["GEMINI_API_KEY"]),
        ("groq", {}, ["GROQ_API_KEY"]),
        ("openrouter", {}, ["OPENROUTER_API_KEY"]),
        ("azure", {}, ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "LLM_MODEL"]),
        ("ollama", {}, ["LLM_MODEL"]),
        ("custom", {}, ["LLM_BASE_URL", "LLM_MODEL"]),
        ("custom", {"llm_model": "mine"}, ["LLM_BASE_URL"]),
    ],
)
def test_missing_settings_are_named_and_stop_the_start(
    provider: str, values: dict[str, str], names: list[str]
) -> None:
    problems = _problems(llm_provider=provider, **values)

    for name in names:
        assert f"LLM_PROVIDER={provider} needs {name}" in problems
    assert problems.count("needs") == len(names)


@pytest.mark.parametrize(
    ("default", "values", "chosen"),
    [
        ("openai", {}, "demo"),
        ("openai", {"openai_api_key": "sk-test"}, "openai"),
        ("openai", {"gemini_api_key": "a-key"}, "demo"),
        ("gemini", {"openai_api_key": "sk-test"}, "demo"),
        ("gemini", {"gemini_api_key": "a-key"}, "gemini"),
        ("ollama", {}, "demo"),
        ("ollama", {"llm_model": "llama"}, "ollama"),
        ("custom", {"llm_model": "mine"}, "demo"),
        ("custom", {"llm_model": "mine", "llm_base_url": "http://127.0.0.1:1/v1"}, "custom"),
        ("openai", {"openai_api_key": "sk-test", "llm_provider": "demo"}, "demo"),
    ],
)
def test_the_default_provider_answers_if_it_can_and_otherwise_the_demo(
    default: str, values: dict[str, str], chosen: str
) -> None:
    assert make_settings(default_provider=default, **values).llm.provider.name == chosen


@pytest.mark.parametrize(
    ("default", "fix"),
    [("gemini", "set GEMINI_API_KEY"), ("custom", "set LLM_BASE_URL and LLM_MODEL")],
)
def test_production_names_what_the_projects_provider_needs(default: str, fix: str) -> None:
    production = {"environment": "production", "auth_mode": "jwt", "jwt_secret": SECRET}

    assert fix in _problems(default_provider=default, **production)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://me.openai.azure.com",
        "https://me.openai.azure.com/",
        "https://me.openai.azure.com/openai/v1/",
    ],
)
def test_azures_url_is_made_of_its_resource(endpoint: str) -> None:
    settings = make_settings(
        llm_provider="azure",
        llm_model="mine",
        azure_openai_api_key="a-key",
        azure_openai_endpoint=endpoint,
    )

    assert settings.llm.url == "https://me.openai.azure.com/openai/v1"


def test_openais_url_has_two_names_and_the_common_one_wins() -> None:
    own = make_settings(openai_api_key="sk-test", openai_base_url="http://127.0.0.1:1/v1")
    both = make_settings(
        openai_api_key="sk-test",
        openai_base_url="http://127.0.0.1:1/v1",
        llm_base_url="http://127.0.0.1:2/v1",
    )

    assert own.llm.url == "http://127.0.0.1:1/v1"
    assert both.llm.url == "http://127.0.0.1:2/v1"


def test_a_fallback_needs_its_providers_settings() -> None:
    first = {"openai_api_key": "sk-test"}

    assert "needs GEMINI_API_KEY" in _problems(llm_fallback_provider="gemini", **first)
    assert "needs LLM_FALLBACK_BASE_URL" in _problems(
        llm_fallback_provider="custom",
        llm_fallback_model="mine",
        llm_base_url="http://127.0.0.1:1/v1",
        **first,
    )
    assert "name another" in _problems(llm_fallback_provider="openai", **first)


def test_a_fallback_at_the_same_provider_is_where_the_first_is() -> None:
    settings = make_settings(
        openai_api_key="sk-test", llm_base_url="http://127.0.0.1:1/v1", llm_fallback_model="small"
    )

    assert settings.llm_fallback is not None
    assert settings.llm_fallback.url == "http://127.0.0.1:1/v1"
    assert settings.llm_fallback.model == "small"


def test_a_fallback_elsewhere_does_not_get_the_firsts_url_nor_its_key() -> None:
    settings = make_settings(
        openai_api_key="sk-test",
        groq_api_key="a-key",
        llm_base_url="http://127.0.0.1:1/v1",
        llm_fallback_provider="groq",
    )

    assert settings.llm_fallback is not None
    assert settings.llm_fallback.url == PROVIDERS["groq"].url
    assert settings.llm_fallback.key is settings.groq_api_key


def test_the_models_to_choose_from_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODELS", "small, large")

    assert Settings().llm_models == ["small", "large"]


@pytest.mark.parametrize("name", [n for n in LlmSettings.model_fields if n.endswith("_api_key")])
def test_a_key_with_characters_that_no_key_has_is_refused(name: str) -> None:
    assert f"{name.upper()}: has characters" in _problems(**{name: "a key\n"})


@pytest.mark.parametrize(
    "name",
    ["llm_base_url", "llm_fallback_base_url", "azure_openai_endpoint", "ollama_base_url"],
)
def test_an_invalid_url_is_refused(name: str) -> None:
    assert f"{name.upper()}: must be a URL such as http" in _problems(**{name: "models.example"})


def test_openais_default_model_is_the_agents_sdks() -> None:
    assert get_default_model() == OPENAI.model
