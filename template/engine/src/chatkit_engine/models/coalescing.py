"""The plain text deltas of both wires: what may be merged, and how one is made of several.

Merges the text deltas that arrived together into one, before they are parsed.

Before it reads on, the stream looks how long the event loop takes for one round. When the server is
idle that is some microseconds, and each delta passes through as it comes. Under load the stream
pauses, and the deltas that arrive meanwhile are merged: they cost one event's work instead of many,
and the load falls. Whatever is not a plain text delta of one content part passes through untouched.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby
from time import monotonic
from typing import Any, NamedTuple, cast

import httpx2
from pydantic_core import from_json, to_json

RESPONSES_TYPE = "response.output_text.delta"
CHUNK_TYPE = "chat.completion.chunk"
TYPES = (RESPONSES_TYPE.encode(), CHUNK_TYPE.encode())
HEADS = (b"", b"event: " + RESPONSES_TYPE.encode() + b"\n")
DATA = b"data: "

RESPONSES_FIELDS = frozenset(
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

CHUNK_FIELDS = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
        "obfuscation",
    }
)

CHOICE_FIELDS = frozenset({"index", "delta", "logprobs", "finish_reason"})
DELTA_FIELDS = frozenset({"role", "content"})
Json = dict[str, Any]
END = b"\n\n"
BUSY_SECONDS = 0.0001
PAUSE_SECONDS = 0.1


class Delta(NamedTuple):
    """A text, and what it belongs to: adjacent deltas of one `part` are one text."""

    part: tuple[Any, ...]
    text: str
    data: Json


def read_delta(event: bytes) -> Delta | None:
    """Return an event's delta, or None for any other event and for a delta with more to it."""
    head, data, body = event.partition(DATA)
    if not data or head not in HEADS or b"\n" in body:
        return None
    try:
        value = from_json(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return _of_responses(cast(Json, value)) or _of_chat_completions(cast(Json, value))


def join(first: bytes, deltas: tuple[Delta, ...]) -> bytes:
    """Return one event in place of several, of which `first` is the first as it came."""
    head = first.partition(DATA)[0]
    text = "".join(delta.text for delta in deltas)
    data = deltas[-1].data
    if "choices" not in data:
        return head + DATA + to_json({**data, "delta": text})
    choice = data["choices"][0]
    choice = {**choice, "delta": {**choice["delta"], "content": text}}
    return head + DATA + to_json({**data, "choices": [choice]})


def _of_responses(data: Json) -> Delta | None:
    text = data.get("delta")
    is_text = data.get("type") == RESPONSES_TYPE and isinstance(text, str)
    if not is_text or not RESPONSES_FIELDS.issuperset(data) or data.get("logprobs"):
        return None
    part = data.get("item_id"), data.get("output_index"), data.get("content_index")
    return Delta(part, cast(str, text), data)


def _of_chat_completions(data: Json) -> Delta | None:
    choices = data.get("choices")
    if not CHUNK_FIELDS.issuperset(data) or data.get("usage") or not isinstance(choices, list):
        return None
    only = cast(list[Any], choices)
    if len(only) != 1 or not isinstance(only[0], dict):
        return None
    text = _content(cast(Json, only[0]))
    return None if text is None else Delta((data.get("id"),), text, data)


def _content(choice: Json) -> str | None:
    """Return the text of a choice that has nothing else to say."""
    is_plain = CHOICE_FIELDS.issuperset(choice) and choice.get("index") == 0
    if not is_plain or choice.get("logprobs") or choice.get("finish_reason") is not None:
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not DELTA_FIELDS.issuperset(cast(Json, delta)):
        return None
    content = cast(Json, delta).get("content")
    return content if isinstance(content, str) else None


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
