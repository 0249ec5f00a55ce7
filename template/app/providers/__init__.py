"""The language models: one file for each family of providers."""

from app.providers.base import ChatModel
from app.providers.demo import create_demo_model
from app.providers.openai import create_openai_model
from app.settings import Settings

__all__ = ["ChatModel", "create_model", "provider_name"]

FAMILIES = {"openai": create_openai_model, "demo": create_demo_model}


def create_model(settings: Settings) -> ChatModel:
    """Return the model that the settings ask for."""
    return FAMILIES[provider_name(settings)](settings)


def provider_name(settings: Settings) -> str:
    """LLM_PROVIDER if it is set; else OpenAI where its key is there, and the demo where not.

    Settings refuse the demo model in production.
    """
    return settings.llm_provider or ("openai" if settings.openai_api_key else "demo")
