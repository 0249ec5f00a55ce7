"""The context of a request: the user, the language, the time zone and the page."""

from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError, to_json

from chatkit_engine.i18n import ENGLISH
from chatkit_engine.timezones import known_timezone

MAX_EXTRA_BYTES = 4096
MAX_SELECTED_TEXT = 10_000
MAX_CLIENT_TOOLS = 100


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode, without lone surrogates") from None
    return value


Text = Annotated[str, AfterValidator(_storable)]
Short = Annotated[Text, StringConstraints(max_length=500)]


class User(BaseModel):
    """The user that a request acts for. Every database statement filters on `id`."""

    model_config = ConfigDict(frozen=True)

    id: str


class PageContext(BaseModel):
    """The page that the user is looking at, as the front end describes it.

    Unknown keys are collected in `extra`, up to 4 KiB of JSON.
    """

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    current_chapter: Short | None = None
    current_lesson: Short | None = None
    title: Short | None = None
    url: Annotated[Text, StringConstraints(max_length=2000)] | None = None
    extra: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _collect_extra(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        page = cast(dict[str, Any], value)
        known = {key: page[key] for key in page if key in cls.model_fields}
        unknown = {key: page[key] for key in page if key not in cls.model_fields}
        if not unknown:
            return known
        given = known.get("extra")
        extra = cast(dict[str, Any], given) if isinstance(given, dict) else {}
        return {**known, "extra": {**unknown, **extra}}

    @field_validator("extra")
    @classmethod
    def _bound_extra(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            size = len(to_json(extra))
        except PydanticSerializationError:
            raise ValueError("must be valid Unicode, without lone surrogates") from None
        if size > MAX_EXTRA_BYTES:
            raise ValueError(f"must be at most {MAX_EXTRA_BYTES} bytes of JSON")
        return extra


class ClientContext(BaseModel):
    """The part of the context that the front end sends.

    `client_tools` names the tools and effects that it can run. The model is offered no others.
    """

    model_config = ConfigDict(frozen=True)

    page_context: PageContext | None = None
    selected_text: Annotated[Text, StringConstraints(max_length=MAX_SELECTED_TEXT)] | None = None
    timezone: str | None = None
    client_tools: Annotated[tuple[Short, ...], Field(max_length=MAX_CLIENT_TOOLS)] = ()

    @field_validator("timezone", mode="before")
    @classmethod
    def _known_timezone(cls, name: object) -> str | None:
        """Read the time zone, or take none, because a user cannot change what a browser sends."""
        return known_timezone(name) if isinstance(name, str) else None


class RequestContext(ClientContext):
    """The context of one request, from the endpoint to the tools.

    `locale` is the language tag that the user prefers, and `language` is the language of our own
    messages. `base_url` is the server's URL as the client sees it, if it is known; links start with
    it.
    """

    user: User
    locale: str = ENGLISH
    language: str = ENGLISH
    request_id: str = ""
    base_url: str | None = "http://localhost"

    @property
    def zone(self) -> ZoneInfo:
        """The user's time zone. UTC if the front end sends none."""
        return ZoneInfo(self.timezone or "UTC")
