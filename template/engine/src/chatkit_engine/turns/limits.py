"""Bounds each part of a ChatKit request, before anything of it is looked up or stored.

The body as a whole is bounded too, but 4 MB in a part that nobody reads would be stored with a
message and loaded with each page and each turn of its thread.
"""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from chatkit.actions import Action
from chatkit.types import (
    ChatKitReq,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    StructuredInputSubmission,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsListReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageTagContent,
)
from pydantic_core import to_json

from chatkit_engine.errors import BadRequest, ContentTooLarge
from chatkit_engine.i18n import _

MAX_PAGE = 1000
MAX_TITLE = 200
MAX_FEEDBACK = 100
MAX_NAME = 500
MAX_PARTS = 100
MAX_QUOTE = 20_000
MAX_ATTACHMENTS = 100
MAX_TAG_BYTES = 4 * 1024
MAX_TAGS_BYTES = 64 * 1024
MAX_JSON_BYTES = 64 * 1024
MAX_ANSWERS = 100


def check_limits(request: ChatKitReq) -> None:
    """Check the values of a request.

    Raises:
        BadRequest: a value is out of range.
        ContentTooLarge: a part is too large. The message names it.
    """
    _check_json("metadata", request.metadata, MAX_JSON_BYTES)
    match request:
        case ThreadsCreateReq() | ThreadsAddUserMessageReq():
            _check_message(request.params.input)
        case ThreadsCustomActionReq() | ThreadsSyncCustomActionReq():
            _check_action(request.params.action)
        case ThreadsAddStructuredInputReq():
            _check_answers(request.params.input)
        case ThreadsListReq() | ItemsListReq():
            limit = request.params.limit
            if limit is not None and not 1 <= limit <= MAX_PAGE:
                raise BadRequest(_("'limit' must be from 1 to {max}.", max=MAX_PAGE))
        case InputTranscribeReq():
            _check_audio(request)
        case ThreadsUpdateReq():
            if not 0 < len(request.params.title) <= MAX_TITLE:
                raise BadRequest(_("'title' must have from 1 to {max} characters.", max=MAX_TITLE))
        case ItemsFeedbackReq():
            if not 0 < len(request.params.item_ids) <= MAX_FEEDBACK:
                raise BadRequest(_("'item_ids' must have from 1 to {max} ids.", max=MAX_FEEDBACK))
        case _:
            pass


def _check_message(message: UserMessageInput) -> None:
    _check_number("input.content", message.content, MAX_PARTS)
    for number, part in enumerate(message.content):
        if isinstance(part, UserMessageTagContent):
            _check_tag(f"input.content.{number}", part)
    tags = [part for part in message.content if isinstance(part, UserMessageTagContent)]
    _check_json("input.content", [tag.model_dump() for tag in tags], MAX_TAGS_BYTES)
    _check_text("input.quoted_text", message.quoted_text, MAX_QUOTE)
    _check_number("input.attachments", message.attachments, MAX_ATTACHMENTS)
    for attachment_id in message.attachments:
        _check_text("input.attachments", attachment_id, MAX_NAME)


def _check_tag(name: str, tag: UserMessageTagContent) -> None:
    _check_text(f"{name}.id", tag.id, MAX_NAME)
    _check_text(f"{name}.text", tag.text, MAX_NAME)
    _check_text(f"{name}.group", tag.group, MAX_NAME)
    _check_json(f"{name}.data", tag.data, MAX_TAG_BYTES)


def _check_action(action: Action[Any, Any]) -> None:
    # The SDK's default is no string, so that an action without a type gets this far.
    if not isinstance(action.type, str):
        raise BadRequest(_("'{name}' is missing.", name="action.type"))
    _check_text("action.type", action.type, MAX_NAME)
    _check_json("action.payload", action.payload, MAX_JSON_BYTES)


def _check_answers(given: StructuredInputSubmission) -> None:
    if len(given.answers) > MAX_ANSWERS:
        raise _too_many("input.answers", MAX_ANSWERS)
    _check_json("input.answers", given.model_dump(), MAX_JSON_BYTES)


def _check_audio(request: InputTranscribeReq) -> None:
    try:
        b64decode(request.params.audio_base64)
    except ValueError:
        raise BadRequest(_("'audio_base64' is not valid base64.")) from None
    _check_text("mime_type", request.params.mime_type, MAX_NAME)


def _check_text(name: str, text: str | None, most: int) -> None:
    if text is not None and len(text) > most:
        raise ContentTooLarge(_("'{name}' may have at most {max} characters.", name=name, max=most))


def _check_number(name: str, values: Sequence[object], most: int) -> None:
    if len(values) > most:
        raise _too_many(name, most)


def _check_json(name: str, value: object, most: int) -> None:
    if len(to_json(value)) > most:
        raise ContentTooLarge(
            _("'{name}' may have at most {max} bytes of JSON.", name=name, max=most)
        )


def _too_many(name: str, most: int) -> ContentTooLarge:
    return ContentTooLarge(_("'{name}' may have at most {max} entries.", name=name, max=most))
