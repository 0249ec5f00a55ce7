"""The settings of the assistant's MCP servers, and of the application's own server."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import from_json
from pydantic_settings import NoDecode

from chatkit_engine.errors import describe_errors
from chatkit_engine.security.authentication import is_usable_subject
from chatkit_engine.settings.base import SettingsBase
from chatkit_engine.settings.urls import check_base_url

EXAMPLE = '{"docs": {"url": "https://docs.example.com/mcp"}}'
# Without `_`, so that tools of two servers never have the same name.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Url = Annotated[
    str, AfterValidator(lambda url: check_base_url(url, "https://docs.example.com/mcp"))
]
Approval = Literal["auto", "always", "never"] | list[str]


class ServerSettings(BaseModel):
    """One server: a `command` to start, or a `url`. Either may have secrets.

    `tools` limits the tools to these names, and `blocked_tools` excludes names. `approval` says
    which calls wait for the user; "auto" decides by the server's annotations of each tool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    command: str | None = Field(default=None, min_length=1)
    args: list[str] = []
    env: dict[str, SecretStr] = {}
    cwd: Path | None = None
    url: Url | None = None
    headers: dict[str, SecretStr] = {}
    tools: list[str] | None = None
    blocked_tools: list[str] = []
    approval: Approval = "auto"
    timeout_seconds: float = Field(default=30, gt=0, le=3600)
    parallel: bool = True
    required: bool = False
    send_user: bool = False

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs either a command or a url")
        if self.url is None and self.headers:
            raise ValueError("headers need a url")
        if self.command is None and (self.args or self.env or self.cwd):
            raise ValueError("args, env and cwd need a command")
        return self


SERVERS = TypeAdapter(dict[Name, ServerSettings])


class McpSettings(SettingsBase):
    """`MCP_SERVERS`, `MCP_OWN_SERVER`, `MCP_HTTP` and `MCP_USER`: `.env.example` explains each."""

    mcp_servers: Annotated[dict[str, ServerSettings], NoDecode] = Field(
        default_factory=dict[str, ServerSettings]
    )
    mcp_own_server: bool = True
    mcp_http: bool = True
    mcp_user: str | None = None

    @field_validator("mcp_servers", mode="before")
    @classmethod
    def _read_servers(cls, value: Any) -> Any:
        try:
            servers = from_json(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError(f"must be JSON, for example {EXAMPLE}") from None
        try:
            return SERVERS.validate_python(servers)
        except ValidationError as error:
            raise ValueError(_problems(error)) from None

    @field_validator("mcp_servers")
    @classmethod
    def _not_our_name(cls, servers: dict[str, ServerSettings]) -> dict[str, ServerSettings]:
        if "app" in servers:
            raise ValueError("app is the name of the application's own server: choose another")
        return servers

    @field_validator("mcp_user")
    @classmethod
    def _usable(cls, user_id: str | None) -> str | None:
        if user_id is not None and not is_usable_subject(user_id):
            raise ValueError("must be 1 to 255 printable characters")
        return user_id


def _problems(error: ValidationError) -> str:
    problems = describe_errors(error.errors(include_input=False, include_context=False))
    return "; ".join(f"{each['field'] or 'it'}: {each['message']}" for each in problems)
