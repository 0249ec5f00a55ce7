"""The documents' settings."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from app.settings import SettingsBase
from app.urls import check_base_url


class RagSettings(SettingsBase):
    """Where vectors are kept, and what makes them. `.env.example` explains each."""

    vector_store: Literal["embedded", "pgvector", "qdrant"] = "embedded"
    qdrant_url: str | None = None
    qdrant_api_key: SecretStr | None = None

    embedding_model: str | None = None
    embedding_dimensions: int | None = Field(default=None, ge=1, le=4096)
    embedding_base_url: str | None = None
    embedding_api_key: SecretStr | None = None

    search_results: int = Field(default=5, ge=1, le=20)
    search_min_similarity: float | None = Field(default=None, ge=-1, le=1)
    search_cache_seconds: float = Field(default=300, ge=0)

    @field_validator("qdrant_url", "embedding_base_url")
    @classmethod
    def _usable_url(cls, url: str | None) -> str | None:
        return check_base_url(url, "http://127.0.0.1:6333")
