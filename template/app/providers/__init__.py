"""The language models: one file for each family of providers."""

from app.provider_table import DEMO
from app.providers.base import ChatModel, Transcribe
from app.providers.demo import create_demo_model
from app.providers.models import Models
from app.settings import Settings

__all__ = ["ChatModel", "Transcribe", "create_model"]


def create_model(settings: Settings) -> ChatModel:
    """Return the model that the settings ask for."""
    if settings.llm.provider is DEMO:
        return create_demo_model(settings)
    return Models(settings).chat_model()
