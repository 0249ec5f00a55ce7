"""Reads and makes ChatKit requests.

The types are built once: upstream builds them anew for each request.
"""

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

LARGE_BODY = 64 * 1024
MAX_ENTRIES = 5_000
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)


class _Envelope(BaseModel):
    """Where a front end puts its context: ChatKit's own `metadata`, or beside the request."""

    metadata: ClientContext = Field(default_factory=ClientContext)
    context: ClientContext = Field(default_factory=ClientContext)

    @model_validator(mode="before")
    @classmethod
    def _absent_when_null(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        fields = cast(dict[str, object], value)
        return {key: field for key, field in fields.items() if field is not None}


def parse_request(body: bytes) -> tuple[ChatKitReq, ClientContext]:
    """Return the request and the context that came with it.

    Raises:
        BadRequest: the body is no ChatKit request, or has characters that cannot be stored.
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
    if b"\\u0000" in body and _has_nul(from_json(body)):
        raise BadRequest(_("The request has NUL characters, which cannot be stored. Remove them."))
    return request, _merged(envelope)


def _check_sizes(body: bytes) -> None:
    """Refuse endless lists: each wrong entry would become an error with a text of its own."""
    try:
        value = from_json(body)
    except ValueError:
        return
    if _longest(value) > MAX_ENTRIES:
        raise BadRequest(
            _("A list or object in the body has more than {max} entries.", max=MAX_ENTRIES)
        )


def _longest(value: object) -> int:
    if isinstance(value, dict):
        entries = list(cast(dict[str, object], value).values())
    elif isinstance(value, list):
        entries = cast(list[object], value)
    else:
        return 0
    if len(entries) > MAX_ENTRIES:
        return len(entries)
    return max([len(entries), *(_longest(entry) for entry in entries)])


def user_message_request(text: str, thread_id: str | None) -> StreamingReq:
    """Return the request that says `text`, in a new thread where none is given."""
    message = UserMessageInput(
        content=[UserMessageTextContent(text=text)],
        attachments=[],
        inference_options=InferenceOptions(),
    )
    if thread_id is None:
        return ThreadsCreateReq(params=ThreadCreateParams(input=message))
    params = ThreadAddUserMessageParams(thread_id=thread_id, input=message)
    return ThreadsAddUserMessageReq(params=params)


def _merged(envelope: _Envelope) -> ClientContext:
    beside, metadata = envelope.context, envelope.metadata
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
