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

# A smaller body cannot have enough entries to be a problem.
LARGE_BODY = 64 * 1024
MAX_ENTRIES = 5_000
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
    if len(body) > LARGE_BODY:
        _check_sizes(body)
    try:
        request = REQUEST.validate_json(body)
        envelope = _Envelope.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(
            _("The body is not a ChatKit request; `errors` says why."),
            errors=describe_errors(error.errors(include_input=False, include_context=False)),
        ) from None
    # JSON allows NUL only in escaped form. PostgreSQL cannot store it.
    if b"\\u0000" in body and _has_nul(from_json(body)):
        raise BadRequest(_("The request has NUL characters, which cannot be stored. Remove them."))
    return request, _client_context(envelope)


def _check_sizes(body: bytes) -> None:
    """Refuse huge lists, because pydantic creates an error message for each invalid entry."""
    try:
        value = from_json(body)
    except ValueError:
        return
    if _max_entries(value) > MAX_ENTRIES:
        raise BadRequest(
            _("A list or object in the body has more than {max} entries.", max=MAX_ENTRIES)
        )


def _max_entries(value: object) -> int:
    """Return the number of entries of the largest list or object in the value."""
    if isinstance(value, dict):
        entries = list(cast(dict[str, object], value).values())
    elif isinstance(value, list):
        entries = cast(list[object], value)
    else:
        return 0
    if len(entries) > MAX_ENTRIES:
        return len(entries)
    return max([len(entries), *(_max_entries(entry) for entry in entries)])


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
