"""The settings of attachments."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from chatkit_engine.features.attachments.file_types import SUPPORTED
from chatkit_engine.settings.base import SettingsBase


class AttachmentsSettings(SettingsBase):
    """Limits of uploads, lifetimes of links, and the model's budget for attachments."""

    upload_max_bytes: int = Field(default=20 * 1024 * 1024, ge=1)
    upload_types: Annotated[tuple[str, ...], NoDecode] = SUPPORTED
    upload_max_pixels: int = Field(default=50_000_000, ge=1)
    upload_max_side: int = Field(default=20_000, ge=1)
    upload_link_seconds: int = Field(default=900, ge=1)
    attachment_max_waiting: int = Field(default=100, ge=1)
    attachment_max_per_message: int = Field(default=10, ge=1)
    attachment_orphan_hours: float = Field(default=24, gt=0)
    attachment_max_tokens: int = Field(default=50_000, ge=0)

    @field_validator("upload_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (each.strip() for each in value.split(",")) if part)

    @field_validator("upload_types")
    @classmethod
    def _supported(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if not types or not set(types) <= set(SUPPORTED):
            raise ValueError(f"must be a comma-separated list of {', '.join(SUPPORTED)}")
        return types
