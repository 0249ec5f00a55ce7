"""Tests answers that are too large in a way that no delta shows, and answers that are not HTTP."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import answer, create, events, op, thread_id

Json = dict[str, Any]
Event = tuple[str, Json]
TEXT = "x " * 1_500_000
HEADER = b"X-More: " + b"y" * 1000 + b"\r\n"


def _event(kind: str, **values: Any) -> Event:
    return kind, {"type": kind, "sequence_number": 1, **values}


def _message(text: str) -> Json:
    content: list[Json] = [{"type": "output_text", "text": text, "annotations": []}]
    ids: Json = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    return {**ids, "content": content}


def _call(arguments: str = '{"sides": 6}') -> Json:
    return {
        "type": "function_call",
        "id": "fc",
        "call_id": "c",
        "name": "roll_dice",
        "arguments": arguments,
    }


def _done(*items: Json) -> list[Event]:
    return [
        _event("response.output_item.done", output_index=index, item=item)
        for index, item in enumerate(items)
    ]


def _completed(*items: Json) -> list[Event]:
    response: Json = {"id": "r", "object": "response", "created_at": 1, "model": "m"}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return [_event("response.completed", response={**response, "output": items})]


def _parts(kind: str, **values: Any) -> list[Event]:
    place: Json = {"item_id": "m", "output_index": 0, "content_index": 0}
    added = _event("response.output_item.added", output_index=0, item=_message(""))
    return [added, *[_event(kind, **{**place, **values})] * 3_000, *_completed(_message("Hello"))]


CITATION: Json = {"type": "url_citation", "url": "https://example.com", "title": "t"}
PART: Json = {"type": "output_text", "text": "", "annotations": []}


@pytest.mark.parametrize(
    "sent",
    [
        [*_done(*[_call()] * 300), *_completed()],
        _completed(*[_call()] * 300),
        [*_done(_message(TEXT)), *_completed()],
        [*_done(_message(TEXT[:1_500_000]), _message(TEXT[:1_500_000])), *_completed()],
        _completed(_message(TEXT)),
        [*_done(_call(json.dumps({"sides": 6, "x": TEXT}))), *_completed()],
        _parts(
            "response.output_text.annotation.added",
            annotation_index=0,
            annotation={**CITATION, "start_index": 0, "end_index": 0},
        ),
        _parts("response.content_part.added", part=PART),
        _parts("response.web_search_call.searching"),
    ],
    ids=[
        "calls",
        "calls at the end",
        "text",
        "text in two items",
        "text at the end",
        "arguments",
        "citations",
        "parts",
        "progress",
    ],
)
async def test_what_comes_without_deltas_is_bounded_too(
    with_model: Settings, model_api: FakeModelApi, sent: Sequence[Event]
) -> None:
    model_api.script(Reply(events=sent))

    async with running_app(with_model) as app:
        streamed = events((await app.chatkit(create("Hello"))).text)
        page = op("items.list", thread_id=thread_id(streamed), limit=1000)
        stored = await app.chatkit(page)

    assert "too long and was cut off" in streamed[-1]["message"]
    assert len(model_api.requests) == 1
    assert len(stored.content) < 2_000_000


async def test_half_a_surrogate_pair_in_a_whole_item_is_no_error(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    whole = _message("half \ud83d")
    model_api.script(Reply(events=[*_done(whole), *_completed(whole)]))

    async with running_app(with_model) as app:
        streamed = events((await app.chatkit(create("Hello"))).text)

    assert [event for event in streamed if event["type"] == "error"] == []


@asynccontextmanager
async def _provider(head: bytes, endless: bytes) -> AsyncGenerator[str]:
    """Run a server that answers each request with `head`, then `endless` again and again."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            while True:
                writer.write(endless)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (OK, HEADER),
        (OK + b"X-More: ", b"y" * 1000),
        (b"HTTP/1.1 200 ", b"y" * 1000),
        (CHUNKED + b"0\r\n", HEADER),
        (CHUNKED, b"not a chunk\r\n"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"y" * 65536),
    ],
    ids=["headers", "a header", "a status", "trailers", "no chunks", "an error"],
)
async def test_a_provider_that_does_not_speak_http_counts_as_down(
    with_model: Settings, model_api: FakeModelApi, head: bytes, endless: bytes
) -> None:
    model_api.default = Reply("The second model.")
    recording = op(
        "input.transcribe", audio_base64=b64encode(b"OggS").decode(), mime_type="audio/ogg"
    )
    second: Json = {"llm_fallback_provider": "custom", "llm_fallback_model": "second"}
    second |= {"llm_fallback_base_url": model_api.url}
    async with _provider(head, endless) as url:
        values = {"llm_base_url": url, **second}
        broken = Settings.model_validate(with_model.model_dump() | values)
        async with running_app(broken) as app:
            streamed = events((await app.chatkit(create("Hello"))).text)
            heard = await app.chatkit(recording)

    assert answer(streamed).strip() == "The second model."
    assert heard.status_code == 503
