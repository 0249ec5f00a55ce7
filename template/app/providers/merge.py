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

import httpx2

from app.providers.deltas import TYPES, join, read_delta

END = b"\n\n"

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
    """A response's bytes, whole events at a time. Events may be large: an image is one."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = bytearray()
        understood = True
        async for chunk in self._stream:
            understood = understood and b"\r" not in chunk
            if not understood:
                yield bytes(rest) + chunk
                rest.clear()
                continue
            seam = max(0, len(rest) - 1)
            rest += chunk
            end = rest.rfind(END, seam) + len(END)
            if end >= len(END):
                complete = bytes(rest[:end])
                del rest[:end]
                yield merge(complete)
                if any(kind in complete for kind in TYPES):
                    await _pause_under_load()
        if rest:
            yield bytes(rest)

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
    parsed = [(event, read_delta(event)) for event in events.split(END)[:-1]]
    for part, run in groupby(parsed, key=lambda pair: pair[1].part if pair[1] else None):
        raw, deltas = zip(*run, strict=True)
        if part is None or len(raw) == 1:
            merged.extend(raw)
        else:
            merged.append(join(raw[0], deltas))
    return END.join([*merged, b""])
