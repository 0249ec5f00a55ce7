"""One rule for every URL that a client gets: citations, widgets, effects, arguments of its tools.

A model, a document or a tool may have written the URL, and the client puts it into a link. A URL
may lead to the web, to a mail address, or to a page of the same site. What the rule refuses is
dropped, and the text around it stays. Links inside Markdown are the client's to check.
"""

import re
import unicodedata
from html import unescape
from typing import Any, cast

from chatkit.types import (
    Annotation,
    AssistantMessageContentPartTextDelta,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ProgressUpdateEvent,
    ThreadItemUpdatedEvent,
    URLSource,
    UserMessageItem,
)
from pydantic import BaseModel

from chatkit_engine.security.safe_urls import UNSEEN, safe_url

URL_NAME = re.compile(r"(url|uri|href|src|favicon)s?$", re.IGNORECASE)
SCRIPT = re.compile(r"(javascript|vbscript):", re.IGNORECASE)
# Shown as text, and never opened.
TEXTS = {"alt", "caption", "content", "label", "name", "placeholder", "text", "title", "value"}
# What has no URL, what the user has sent, and files of our own.
WITHOUT = (UserMessageItem, GeneratedImageItem, ProgressUpdateEvent)
UPDATES_WITHOUT = (AssistantMessageContentPartTextDelta, GeneratedImageUpdated)


def with_safe_urls(value: Any) -> Any:
    """Return an event, item, page or JSON value without unsafe URLs. It is not changed itself."""
    if isinstance(value, WITHOUT):
        return value
    if isinstance(value, ThreadItemUpdatedEvent) and isinstance(value.update, UPDATES_WITHOUT):
        return value
    if isinstance(value, BaseModel):
        return _checked_model(value)
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return fields | _changes(fields)
    return value


def _is_unsafe(value: object) -> bool:
    """Return whether an element of a list is a source, or cites one, that may not be opened."""
    source = value.source if isinstance(value, Annotation) else value
    return isinstance(source, URLSource) and safe_url(source.url) is None


def _checked_model(model: BaseModel) -> BaseModel:
    fields = dict(model.__dict__) | (model.__pydantic_extra__ or {})
    changes = _changes(fields)
    return model.model_copy(update=changes) if changes else model


def _changes(fields: dict[str, Any]) -> dict[str, Any]:
    checked = {name: _checked(str(name), value) for name, value in fields.items()}
    return {name: value for name, value in checked.items() if value != fields[name]}


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, list):
        elements = cast(list[Any], value)
        return [_checked(name, each) for each in elements if not _is_unsafe(each)]
    if not isinstance(value, str):
        return with_safe_urls(value)
    if URL_NAME.search(name):
        return safe_url(value) or ""
    # The front end may open any other value too, but most of them are no URLs.
    is_script = name not in TEXTS and SCRIPT.match(_seen(value))
    return "" if is_script else value


def _seen(text: str) -> str:
    return "".join(each for each in unescape(text) if unicodedata.category(each) not in UNSEEN)
