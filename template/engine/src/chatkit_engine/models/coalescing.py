"""Merges text deltas that arrive together into one, before the client parses them.

After each read, the stream measures how long one round of the event loop takes. On an idle server
that is microseconds, and each delta passes through as it comes. Under load the stream pauses, and
the deltas that arrive in the meantime are merged, because one event costs less than many. Only
plain text deltas of the same content part are merged; everything else passes through unchanged.

It knows the events of the Responses API and the chunks of Chat Completions.
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

# Server-sent events, as both APIs send them.
HEADS = (b"", b"event: " + RESPONSES_TYPE.encode() + b"\n")
DATA = b"data: "
END = b"\n\n"

# A delta with any other field must not be merged, because the field would be lost.
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

BUSY_SECONDS = 0.0001
PAUSE_SECONDS = 0.1

Json = dict[str, Any]


async def merge_deltas(response: httpx2.Response) -> None:
    """Merge the deltas of an event stream. It is a response hook of the HTTP client."""
    is_events = response.headers.get("content-type", "").startswith("text/event-stream")
    stream = response.stream
    is_plain = "content-encoding" not in response.headers
    if is_events and is_plain and isinstance(stream, httpx2.AsyncByteStream):
        response.stream = MergedStream(stream)


class MergedStream(httpx2.AsyncByteStream):
    """Passes on whole events. They may be large, for example an image."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = bytearray()
        is_supported = True
        async for chunk in self._stream:
            # Another server may end lines with \r or \r\n, which SSE allows too.
            is_supported = is_supported and b"\r" not in chunk
            if not is_supported:
                yield bytes(rest) + chunk
                rest.clear()
                continue
            # The end of an event may be split between two chunks.
            search_from = max(0, len(rest) - 1)
            rest += chunk
            end = rest.rfind(END, search_from) + len(END)
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
    """Pause if a round of the event loop is slow. The first round includes this stream's work."""
    await asyncio.sleep(0)
    started = monotonic()
    await asyncio.sleep(0)
    if monotonic() - started > BUSY_SECONDS:
        await asyncio.sleep(PAUSE_SECONDS)


def merge(events: bytes) -> bytes:
    """Merge adjacent text deltas of the same part in a sequence of whole events."""
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


class Delta(NamedTuple):
    """A text delta, and the content part that it belongs to."""

    part: tuple[Any, ...]
    text: str
    data: Json


def read_delta(event: bytes) -> Delta | None:
    """Return an event's delta. None for other events, and for a delta with any further data."""
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
    """Return one event for several deltas. `first` is the bytes of the first one."""
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
    choices = cast(list[Any], choices)
    if len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    text = _content(cast(Json, choices[0]))
    return None if text is None else Delta((data.get("id"),), text, data)


def _content(choice: Json) -> str | None:
    """Return the text of a choice that contains nothing else."""
    is_plain = CHOICE_FIELDS.issuperset(choice) and choice.get("index") == 0
    if not is_plain or choice.get("logprobs") or choice.get("finish_reason") is not None:
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not DELTA_FIELDS.issuperset(cast(Json, delta)):
        return None
    content = cast(Json, delta).get("content")
    return content if isinstance(content, str) else None
