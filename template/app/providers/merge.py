"""Merges the text deltas that arrived together into one, before they are parsed.

Before it reads on, the stream looks how long the event loop takes for one round. When the server is
idle that is some microseconds, and each delta passes through as it comes. Under load the stream
pauses, and the deltas that arrive meanwhile are merged: they cost one event's work instead of many,
and the load falls. Whatever is not a plain text delta of one content part passes through untouched.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby
from time import monotonic
from typing import Any, cast

import httpx2
from pydantic_core import from_json, to_json

DELTA = "response.output_text.delta"
DATA = b"data: "
END = b"\n\n"
DELTA_TYPE = DELTA.encode()
HEADS = (b"", b"event: " + DELTA_TYPE + b"\n")
PLAIN = frozenset(
    {
        "type",
        "item_id",
        "output_index",
        "content_index",
        "delta",
        "sequence_number",
        "logprobs",
        "obfuscation",
    }
)

Delta = dict[str, Any]

BUSY_SECONDS = 0.0001
PAUSE_SECONDS = 0.1


async def merge_deltas(response: httpx2.Response) -> None:
    """Merge the deltas of an event stream: a response hook for the client."""
    is_events = response.headers.get("content-type", "").startswith("text/event-stream")
    stream = response.stream
    is_plain = "content-encoding" not in response.headers
    if is_events and is_plain and isinstance(stream, httpx2.AsyncByteStream):
        response.stream = MergedStream(stream)


class MergedStream(httpx2.AsyncByteStream):
    """A response's bytes, whole events at a time."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        understood = True
        async for chunk in self._stream:
            understood = understood and b"\r" not in chunk
            if not understood:
                yield rest + chunk
                rest = b""
                continue
            complete, end, rest = (rest + chunk).rpartition(END)
            if end:
                yield merge(complete + end)
                if DELTA_TYPE in complete:
                    await _pause_under_load()
        if rest:
            yield rest

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _pause_under_load() -> None:
    """Pause if a round of the event loop is long. The first round is this stream's own work."""
    await asyncio.sleep(0)
    started = monotonic()
    await asyncio.sleep(0)
    if monotonic() - started > BUSY_SECONDS:
        await asyncio.sleep(PAUSE_SECONDS)


def merge(events: bytes) -> bytes:
    """Merge runs of adjacent text deltas in a string of whole events."""
    if events.find(END) == len(events) - len(END):
        return events
    merged: list[bytes] = []
    parsed = [(event, _text_delta(event)) for event in events.split(END)[:-1]]
    for part, run in groupby(parsed, key=lambda pair: _content_part(pair[1])):
        raw, deltas = zip(*run, strict=True)
        if part is None or len(raw) == 1:
            merged.extend(raw)
        else:
            merged.append(_join(raw[0], deltas))
    return END.join([*merged, b""])


def _text_delta(event: bytes) -> Delta | None:
    """Return a delta's data, or None for any other event and for a delta with more to it."""
    head, data, body = event.partition(DATA)
    if not data or head not in HEADS or b"\n" in body:
        return None
    try:
        delta = from_json(body)
    except ValueError:
        return None
    return cast(Delta, delta) if _is_plain(delta) else None


def _is_plain(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    delta = cast(Delta, value)
    is_text = delta.get("type") == DELTA and isinstance(delta.get("delta"), str)
    return is_text and PLAIN.issuperset(delta) and not delta.get("logprobs")


def _content_part(delta: Delta | None) -> tuple[Any, ...] | None:
    if delta is None:
        return None
    return delta.get("item_id"), delta.get("output_index"), delta.get("content_index")


def _join(first: bytes, deltas: tuple[Delta, ...]) -> bytes:
    head = first.partition(DATA)[0]
    text = "".join(delta["delta"] for delta in deltas)
    return head + DATA + to_json({**deltas[-1], "delta": text})
