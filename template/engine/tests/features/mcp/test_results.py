"""What the model reads of a tool's result."""

from base64 import b64encode
from typing import Any

import pytest
from mcp.types import CallToolResult

from chatkit_engine.features.mcp.client.results import text_of


def _resource(**fields: Any) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": "file:///notes.txt", **fields}}


def _blob(content: bytes, mime_type: str | None) -> dict[str, Any]:
    return _resource(blob=b64encode(content).decode(), mimeType=mime_type)


TEXT = {"type": "text", "text": "Found it."}
LINK = {"type": "resource_link", "uri": "https://example.com/a?b=c#d", "name": "page"}
IMAGE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
AUDIO = {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}
RESULTS: list[tuple[list[dict[str, Any]], str]] = [
    ([TEXT, _resource(text="Call Ada.")], "Found it.\nfile:///notes.txt:\nCall Ada."),
    ([_resource(text="a: 1", mimeType="text/yaml")], "file:///notes.txt:\na: 1"),
    ([_blob('{"ü": 1}'.encode(), "application/json")], 'file:///notes.txt:\n{"ü": 1}'),
    ([_blob(b"<a/>", "application/atom+xml; charset=utf-8")], "file:///notes.txt:\n<a/>"),
    (
        [_blob(b"\x89PNG", "image/png")],
        "(file:///notes.txt: image/png, which cannot be shown here)",
    ),
    (
        [_blob(b"\xff\xfe", "text/plain")],
        "(file:///notes.txt: text/plain, which cannot be shown here)",
    ),
    ([_blob(b"x", None)], "(file:///notes.txt: a file, which cannot be shown here)"),
    ([LINK], "page (https://example.com/a?b=c#d)"),
    (
        [{**LINK, "title": "The page", "description": "About it"}],
        "The page (https://example.com/a?b=c#d): About it",
    ),
    ([IMAGE, AUDIO], "(image, which cannot be shown here)\n(audio, which cannot be shown here)"),
    ([], "Done."),
]


@pytest.mark.parametrize(("content", "text"), RESULTS)
def test_content_of_every_kind_is_read_or_mentioned(
    content: list[dict[str, Any]], text: str
) -> None:
    assert text_of(CallToolResult.model_validate({"content": content})) == text


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        ([], '{"grams":5}'),
        (["It is light."], 'It is light.\n{"grams":5}'),
        (['{"grams": 5}'], '{"grams": 5}'),
        (["Here:", '{ "grams": 5.0 }'], 'Here:\n{ "grams": 5.0 }'),
        (['{"grams": 6}'], '{"grams": 6}\n{"grams":5}'),
    ],
)
def test_a_value_is_kept_unless_a_text_says_it(texts: list[str], text: str) -> None:
    content = [{"type": "text", "text": each} for each in texts]
    result = {"content": content, "structuredContent": {"grams": 5}}

    assert text_of(CallToolResult.model_validate(result)) == text


@pytest.mark.parametrize(
    ("texts", "result"),
    [
        (["Bonn weighs 5"], "Bonn weighs 5"),
        (["5"], 5),
        (["one", "two"], ["one", "two"]),
        (["1", "2"], [1, 2]),
        (['{"a":1}', '{"b":2}'], [{"a": 1}, {"b": 2}]),
        (["null"], None),
    ],
)
def test_a_value_that_is_no_object_is_not_said_twice(texts: list[str], result: Any) -> None:
    content = [{"type": "text", "text": each} for each in texts]
    value = {"content": content, "structuredContent": {"result": result}}

    assert text_of(CallToolResult.model_validate(value)) == "\n".join(texts)
