"""The settings of the document search."""

from typing import Literal, LiteralString, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from chatkit_engine.settings.base import SettingsBase
from chatkit_engine.settings.urls import check_base_url


class RagSettings(SettingsBase):
    """Settings of the vector store, the embedding model and the search.

    `.env.example` explains each of them.
    """

    vector_store: Literal["embedded", "pgvector", "qdrant"] = "embedded"
    qdrant_url: str | None = None
    qdrant_api_key: SecretStr | None = None
    qdrant_collections: str = Field(default="documents", pattern=r"^[A-Za-z0-9_-]{1,100}$")

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

    @model_validator(mode="after")
    def _reachable_store(self) -> Self:
        if self.vector_store == "qdrant" and self.qdrant_url is None:
            raise ValueError(
                "VECTOR_STORE=qdrant needs QDRANT_URL, for example http://127.0.0.1:6333"
            )
        return self


def wrong_setting(name: str, advice: LiteralString) -> ValidationError:
    """Return the error for a setting that conflicts with other settings."""
    problem = InitErrorDetails(type=PydanticCustomError("setting", advice), loc=(name,), input=None)
    return ValidationError.from_exception_data("settings", [problem], hide_input=True)
