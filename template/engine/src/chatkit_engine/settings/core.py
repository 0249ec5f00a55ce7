"""The engine's settings. They are read once, at start."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from chatkit_engine.settings.base import SettingsBase, split_list
from chatkit_engine.settings.models import LlmSettings
from chatkit_engine.settings.patterns import matcher
from chatkit_engine.settings.secrets import check_secret
from chatkit_engine.settings.urls import (
    check_base_url,
    check_origin,
    is_loopback,
    parse_database_url,
)

DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
URL_EXAMPLES = {
    "public_url": "https://chat.example.com",
    "upload_endpoint_url": "https://s3.example.com",
}

OTHER_LOGIN = "set AUTH_MODE=jwt (or AUTH_MODE=app if the application has its own login)"


class Settings(LlmSettings, SettingsBase):
    """The engine's settings. An application derives its own `Settings` from them."""

    project_name: str = "ChatKit backend"
    env_ignore: Annotated[list[str], NoDecode] = Field(default=[])

    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    allowed_origins: Annotated[list[str], NoDecode] = Field(
        default=["http://localhost:3000", "http://localhost:5173"]
    )
    allowed_image_domains: Annotated[list[str], NoDecode] = Field(default=[])

    database_url: str = "sqlite:///data/chat.db"
    database_pool_size: int = Field(default=10, ge=1)
    database_pool_overflow: int = Field(default=10, ge=0)
    database_pool_timeout_seconds: float = Field(default=10, gt=0)
    database_timeout_seconds: float | None = Field(default=30, gt=0)

    retention_days: float | None = Field(default=None, gt=0)

    upload_dir: Path = Path("data/uploads")
    upload_bucket: str | None = None
    upload_endpoint_url: str | None = None
    upload_region: str | None = None
    upload_access_key_id: str | None = None
    upload_secret_access_key: SecretStr | None = None
    download_link_seconds: int = Field(default=3600, ge=1)

    auth_mode: Literal["local", "jwt", "app"] = "local"
    jwt_secret: SecretStr | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    history_max_tokens: int = Field(default=32_000, ge=1_000)
    thread_titles: bool = True
    tool_timeout_seconds: float = Field(default=30, gt=0)
    max_turns: int = Field(default=200, ge=1)
    max_user_turns: int = Field(default=10, ge=1)
    max_user_storage_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024)
    max_model_calls: int = Field(default=10, ge=1)
    max_handoffs: int = Field(default=4, ge=1)
    blocked_input: list[str] = Field(default=[])
    blocked_output: list[str] = Field(default=[])

    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    max_bodies_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    body_timeout_seconds: float = Field(default=30, gt=0)
    max_connections: int = Field(default=1000, ge=10)
    max_connections_per_address: int = Field(default=200, ge=1)
    connection_timeout_seconds: float = Field(default=15, gt=0)
    heartbeat_seconds: float = Field(default=15, gt=0)
    shutdown_grace_seconds: float = Field(default=5, ge=0)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("env_ignore", "allowed_origins", "allowed_image_domains", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_list(value)

    @field_validator("allowed_origins")
    @classmethod
    def _explicit_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if "*" in origin:
                raise ValueError(
                    "must not contain *: requests carry credentials, so name each origin, "
                    "such as https://app.example.com"
                )
        return [check_origin(origin) for origin in origins]

    @field_validator("allowed_image_domains")
    @classmethod
    def _plain_domains(cls, domains: list[str]) -> list[str]:
        if not all(DOMAIN.fullmatch(domain) for domain in domains):
            raise ValueError(
                "an entry is not a domain: write it without a scheme, such as img.example.com"
            )
        return domains

    @field_validator("database_url")
    @classmethod
    def _supported_database(cls, url: str) -> str:
        parse_database_url(url)
        return url

    @field_validator("public_url", "upload_endpoint_url")
    @classmethod
    def _usable_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        return check_base_url(url, URL_EXAMPLES[str(info.field_name)])

    @field_validator("blocked_input", "blocked_output")
    @classmethod
    def _valid_patterns(cls, patterns: list[str]) -> list[str]:
        matcher(patterns)
        return patterns

    @field_validator("jwt_secret")
    @classmethod
    def _strong_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            check_secret(secret.get_secret_value())
        return secret

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *self._auth_problems(),
            *self.llm_problems(is_production=self.is_production),
            *self._upload_problems(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _auth_problems(self) -> list[str]:
        if self.auth_mode == "app":
            return []
        if self.auth_mode == "jwt":
            missing = "AUTH_MODE=jwt needs JWT_SECRET: run `openssl rand -hex 32` and set it"
            return [] if self.jwt_secret else [missing]
        problems: list[str] = []
        if self.is_production:
            problems.append(f"AUTH_MODE=local is for development: in production {OTHER_LOGIN}")
        if not is_loopback(self.host):
            problems.append(
                f"AUTH_MODE=local serves this machine only: set HOST=127.0.0.1, or {OTHER_LOGIN}"
            )
        return problems

    def _upload_problems(self) -> list[str]:
        if (self.upload_access_key_id is None) == (self.upload_secret_access_key is None):
            return []
        return ["set both UPLOAD_ACCESS_KEY_ID and UPLOAD_SECRET_ACCESS_KEY, or neither"]
