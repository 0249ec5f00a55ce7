"""Parses ChatKit requests, and creates the request for a plain text message."""

from typing import cast

from chatkit.types import (
    ChatKitReq,
    InferenceOptions,
    StreamingReq,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    UserMessageInput,
    UserMessageTextContent,
)
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import from_json

from chatkit_engine.context import ClientContext
from chatkit_engine.errors import BadRequest, describe_errors
from chatkit_engine.i18n import _

MAX_ERRORS = 500
# Built once. The SDK builds this adapter for each request, which takes longer than parsing.
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)


class _Envelope(BaseModel):
    """The two places for a front end's context: ChatKit's `metadata`, or `context` beside it."""

    metadata: ClientContext = Field(default_factory=ClientContext)
    context: ClientContext = Field(default_factory=ClientContext)

    @model_validator(mode="before")
    @classmethod
    def _absent_when_null(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        # JavaScript clients send null for a field without a value.
        fields = cast(dict[str, object], value)
        return {key: field for key, field in fields.items() if field is not None}


def parse_request(body: bytes) -> tuple[ChatKitReq, ClientContext]:
    """Return the request, and the context that the front end sent with it.

    Raises:
        BadRequest: the body is not a ChatKit request, or contains NUL characters.
    """
    try:
        # Parsed once, for everything below.
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid([{"field": "", "message": f"Invalid JSON: {error}"}]) from None
    try:
        request = REQUEST.validate_python(value)
        envelope = _Envelope.model_validate(value)
    except ValidationError as error:
        raise _invalid(_described(error)) from None
    # JSON allows NUL only in escaped form. PostgreSQL cannot store it.
    if b"\\u0000" in body and _has_nul(value):
        raise BadRequest(_("The request has NUL characters, which cannot be stored. Remove them."))
    return request, _client_context(envelope)


def _described(error: ValidationError) -> list[dict[str, str]]:
    # Pydantic describes all of them or none, at 20 microseconds each.
    if error.error_count() > MAX_ERRORS:
        return [{"field": "", "message": f"{error.error_count()} values are invalid"}]
    return describe_errors(
        error.errors(include_url=False, include_input=False, include_context=False)
    )


def _invalid(errors: list[dict[str, str]]) -> BadRequest:
    return BadRequest(_("The body is not a ChatKit request; `errors` says why."), errors=errors)


def user_message_request(text: str, thread_id: str | None) -> StreamingReq:
    """Return the request that sends `text`, in a new thread if `thread_id` is None."""
    message = UserMessageInput(
        content=[UserMessageTextContent(text=text)],
        attachments=[],
        inference_options=InferenceOptions(),
    )
    if thread_id is None:
        return ThreadsCreateReq(params=ThreadCreateParams(input=message))
    params = ThreadAddUserMessageParams(thread_id=thread_id, input=message)
    return ThreadsAddUserMessageReq(params=params)


def _client_context(envelope: _Envelope) -> ClientContext:
    metadata, beside = envelope.metadata, envelope.context
    return ClientContext(
        page_context=metadata.page_context or beside.page_context,
        selected_text=metadata.selected_text or beside.selected_text,
        timezone=metadata.timezone or beside.timezone,
        client_tools=metadata.client_tools or beside.client_tools,
    )


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        fields = cast(dict[str, object], value)
        return any(_has_nul(part) for pair in fields.items() for part in pair)
    if isinstance(value, list):
        return any(_has_nul(part) for part in cast(list[object], value))
    return False
