"""Deltas that arrive together are merged, and everything else is unchanged."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from pydantic_core import from_json

from chatkit_engine.models.coalescing import MergedStream, merge, merge_deltas


def _event(kind: str, *, named: bool = True, **fields: Any) -> bytes:
    head = f"event: {kind}\n" if named else ""
    return f"{head}data: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _delta(text: str, number: int = 0, *, named: bool = True, **fields: Any) -> bytes:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0} | fields
    kind = "response.output_text.delta"
    return _event(kind, named=named, delta=text, sequence_number=number, **place)


def _chunk(text: str, *, completion: str = "chatcmpl-1", **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None} | fields
    head = {"id": completion, "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return f"data: {json.dumps(head | {'choices': [choice]})}\n\n".encode()


def _data(events: bytes) -> list[dict[str, Any]]:
    blocks = events.split(b"\n\n")[:-1]
    return [from_json(block.partition(b"data: ")[2]) for block in blocks]


@pytest.mark.parametrize("named", [True, False])
def test_deltas_of_one_part_become_one(named: bool) -> None:
    merged = merge(b"".join(_delta(text, n, named=named) for n, text in enumerate(["a", "b", "c"])))

    assert [(d["delta"], d["sequence_number"]) for d in _data(merged)] == [("abc", 2)]
    assert merged.startswith(b"event: ") is named


def test_chunks_of_one_completion_become_one() -> None:
    end = _chunk("", delta={}, finish_reason="stop")
    named = _chunk("a", delta={"role": "assistant", "content": "a"})
    merged = merge(named + _chunk("b") + _chunk("c", completion="other") + end)

    choices = [chunk["choices"][0] for chunk in _data(merged)]
    assert [choice["delta"].get("content") for choice in choices] == ["ab", "c", None]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert _data(merged)[0]["object"] == "chat.completion.chunk"


def test_another_part_or_event_between_keeps_deltas_apart() -> None:
    done = _event("response.output_text.done", text="ab")
    merged = merge(_delta("a") + _delta("b") + _delta("c", content_index=1) + done + _delta("d"))

    assert [d.get("delta", "done") for d in _data(merged)] == ["ab", "c", "done", "d"]
    assert done in merged


@pytest.mark.parametrize(
    "events",
    [
        _delta("alone"),
        _delta("a") + _event("response.completed", response={}),
        _delta("a", logprobs=[{"token": "a"}]) + _delta("b", logprobs=[{"token": "b"}]),
        _delta("a", something_new=1) + _delta("b", something_new=2),
        _event("response.function_call_arguments.delta", delta="a") * 2,
        _chunk("a", delta={"role": "assistant"}) * 2,
        _chunk("a", delta={"content": "a", "refusal": None}) * 2,
        _chunk("a", delta={"tool_calls": []}) * 2,
        _chunk("a", finish_reason="stop") * 2,
        _chunk("a", logprobs={"content": [{"token": "a"}]}) * 2,
        _chunk("a", something_new=1) * 2,
        b'data: {"choices": [], "usage": {"prompt_tokens": 1}}\n\n' * 2,
        b'data: {"choices": [null]}\n\n' * 2,
        b": a comment\n\n" + _delta("a"),
        b"data: not json\n\n" * 2,
        b"data: [DONE]\n\n" * 2,
        b"event: response.output_text.delta\nid: 5\ndata: {}\n\n" * 2,
    ],
)
def test_events_other_than_text_deltas_are_unchanged(events: bytes) -> None:
    assert merge(events) == events


def test_text_is_not_changed() -> None:
    texts = ["\\", '"', "\n\n", "é", "😀", "\u2028", " ", "data: "]

    merged = merge(b"".join(_delta(text) for text in texts))

    assert _data(merged)[0]["delta"] == "".join(texts)


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


async def _through(chunks: list[bytes]) -> list[bytes]:
    return [chunk async for chunk in MergedStream(_Chunks(chunks))]


async def test_each_whole_event_leaves_with_the_chunk_that_ends_it() -> None:
    first, second = _delta("a"), _delta("b")

    assert await _through([first, second]) == [first, second]
    assert await _through([first + second[:5], second[5:]]) == [first, second]
    assert await _through([first[:-1], first[-1:] + second]) == [merge(first + second)]
    assert await _through([bytes([byte]) for byte in first + second]) == [first, second]


async def test_a_stream_with_carriage_returns_passes_at_once() -> None:
    chunks = [event.replace(b"\n", b"\r\n") for event in (_delta("a"), _delta("b"))]

    assert await _through(chunks) == chunks


async def test_an_unfinished_end_is_not_lost() -> None:
    assert await _through([b"data: {}\n\ndata: {"]) == [b"data: {}\n\n", b"data: {"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"},
    ],
)
async def test_other_responses_are_left_alone(headers: dict[str, str]) -> None:
    stream = _Chunks([])
    response = httpx2.Response(200, headers=headers, stream=stream)

    await merge_deltas(response)

    assert response.stream is stream


async def test_closing_reaches_the_connection() -> None:
    stream = _Chunks([])
    response = httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)

    await merge_deltas(response)
    await response.aclose()

    assert isinstance(response.stream, MergedStream)
    assert stream.closed
