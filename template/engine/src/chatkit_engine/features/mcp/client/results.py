"""What the model reads of a tool's result: text, whatever kinds of content it has."""

from base64 import b64decode
from contextlib import suppress
from typing import Any, cast

from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic_core import from_json, to_json

TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml", "image/svg")
TEXT_SUFFIXES = ("+json", "+xml", "+yaml")


def text_of(result: CallToolResult) -> str:
    """Return the texts of a result, and its value as JSON if no text says the same.

    Texts of resources are read, links keep their address, and other content is only mentioned.
    """
    texts = [_text(part) for part in result.content]
    value = result.structured_content
    if value is not None and not _are_said(texts, value):
        texts.append(to_json(value).decode())
    return "\n".join(texts) or "Done."


def _text(part: ContentBlock) -> str:
    match part:
        case TextContent():
            return part.text
        case EmbeddedResource():
            return _resource(part.resource)
        case ResourceLink():
            named = part.title or part.name
            described = f": {part.description}" if part.description else ""
            return f"{named} ({part.uri}){described}"
        case _:
            return f"({part.type}, which cannot be shown here)"


def _resource(resource: TextResourceContents | BlobResourceContents) -> str:
    if isinstance(resource, TextResourceContents):
        return f"{resource.uri}:\n{resource.text}"
    kind = (resource.mime_type or "").partition(";")[0].strip().lower()
    if kind.startswith(TEXT_TYPES) or kind.endswith(TEXT_SUFFIXES):
        with suppress(ValueError):
            return f"{resource.uri}:\n{b64decode(resource.blob).decode()}"
    return f"({resource.uri}: {kind or 'a file'}, which cannot be shown here)"


def _are_said(texts: list[str], value: object) -> bool:
    """Return whether the texts say the value. Servers wrap what is no object as `result`."""
    said = [_read(text) for text in texts]
    fields = cast(dict[str, Any], value) if isinstance(value, dict) else {}
    values: list[object] = [value]
    if list(fields) == ["result"]:
        values.append(fields["result"])
    return any(each in (*said, *texts, texts, said) for each in values)


def _read(text: str) -> object:
    try:
        return from_json(text)
    except ValueError:
        return text
