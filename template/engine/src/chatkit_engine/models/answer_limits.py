"""Bounds a provider's answer in time, in bytes and in output, beside the timeout of one read.

A provider that sends comments, fields or deltas forever never runs into that timeout, and a line
without an end fills the memory. The bytes are bounded as they arrive, before anything parses them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, cast

import aiohttp
import httpx2
from agents.items import TResponseStreamEvent
from openai import DefaultAioHttpClient
from openai.types.responses import ResponseCompletedEvent, ResponseOutputItemDoneEvent
from pydantic import BaseModel

MEBIBYTE = 1024 * 1024
# A stream has some 400 bytes for each token, and a generated image several times.
MAX_STREAM_BYTES = 256 * MEBIBYTE
MAX_BODY_BYTES = 64 * MEBIBYTE
MAX_ERROR_BYTES = MEBIBYTE
# An image of 20 MiB, as base64.
MAX_EVENT_BYTES = 32 * MEBIBYTE
# Each line costs the client time, an empty one too.
MAX_LINES = 1_000_000
# The longest answers of models have 128,000 tokens.
MAX_CHARACTERS = 2_000_000
MAX_ITEMS = 256
# Parts, citations and the progress of tools. Each is an event for the client, and one more entry of
# an item that is encoded again and again.
MAX_STEPS = 3_000
# The base64 of a generated image, which is checked as a file.
IMAGE = "result"
BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
LONGEST_BLANK = 4
DEADLINE = "deadline"


class AnswerOverLimit(Exception):
    """The answer took too long or was too large. What came before was passed on."""


class AnswerTooSlow(AnswerOverLimit):
    """The answer was not complete in time."""


def over_limit(error: BaseException | None) -> AnswerOverLimit | None:
    """Return the limit behind an error, because the client wraps what it catches."""
    while error is not None and not isinstance(error, AnswerOverLimit):
        error = error.__cause__
    return error


class BoundedHttpClient(DefaultAioHttpClient):
    """An HTTP client over aiohttp that receives each answer within `answer_seconds`.

    Raises:
        AnswerOverLimit: from `send`, and while the body is read.
    """

    def __init__(self, answer_seconds: float, **options: Any) -> None:
        super().__init__(**options)
        # Compressed bytes say nothing about the size of an answer.
        self.headers["Accept-Encoding"] = "identity"
        # First, because the other hooks read the stream that is set here.
        self.event_hooks = {
            **self.event_hooks,
            "response": [_bound, *self.event_hooks["response"]],
        }
        self._answer_seconds = answer_seconds

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        deadline = asyncio.get_running_loop().time() + self._answer_seconds
        request.extensions = {**request.extensions, DEADLINE: deadline}
        with _broken_http():
            async with _until(deadline):
                return await super().send(request, **options)


class BoundedStream(httpx2.AsyncByteStream):
    """A body that raises `AnswerOverLimit` beyond the limits."""

    def __init__(
        self,
        stream: httpx2.AsyncByteStream,
        deadline: float,
        max_bytes: int,
        max_event_bytes: int,
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._max_event_bytes = max_event_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = event = lines = 0
        tail = b""
        async with aclosing(cast(AsyncGenerator[bytes], aiter(self._stream))) as chunks:
            while True:
                try:
                    with _broken_http():
                        async with _until(self._deadline):
                            chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                size += len(chunk)
                lines += chunk.count(b"\n") + chunk.count(b"\r")
                # The end of an event may be split between two chunks.
                recent = tail + chunk
                event = _open_event(recent, event + len(chunk))
                tail = recent[1 - LONGEST_BLANK :]
                if size > self._max_bytes or event > self._max_event_bytes or lines > MAX_LINES:
                    raise AnswerOverLimit
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bounded_output(
    events: AsyncGenerator[TResponseStreamEvent],
) -> AsyncGenerator[TResponseStreamEvent]:
    """Pass on a model's events until its texts, calls, items or steps exceed what models write.

    Raises:
        AnswerOverLimit: they do.
    """
    written = _Written()
    async for event in events:
        written.add(event)
        yield event


def check_output(output: Sequence[object]) -> None:
    """Check the size of whole items.

    Raises:
        AnswerOverLimit: they are more or longer than what models write.
    """
    if len(output) > MAX_ITEMS or _characters(output) > MAX_CHARACTERS:
        raise AnswerOverLimit


class _Written:
    """Counts a stream in deltas and in whole items, since a provider may send only one of them."""

    def __init__(self) -> None:
        self._in_deltas = self._in_items = self._items = self._steps = 0

    def add(self, event: TResponseStreamEvent) -> None:
        delta = getattr(event, "delta", None)
        if isinstance(delta, str):
            self._in_deltas += len(delta)
        else:
            self._steps += 1
        match event:
            case ResponseOutputItemDoneEvent():
                self._items += 1
                self._in_items += _characters([event.item])
            case ResponseCompletedEvent():
                check_output(event.response.output)
            case _:
                pass
        characters = max(self._in_deltas, self._in_items)
        if characters > MAX_CHARACTERS or self._items > MAX_ITEMS or self._steps > MAX_STEPS:
            raise AnswerOverLimit


def _characters(values: Sequence[object]) -> int:
    """Return the length of all texts in `values`. JSON would fail at half a surrogate pair."""
    count, left = 0, list(values)
    while left:
        value = left.pop()
        if isinstance(value, str):
            count += len(value)
        elif isinstance(value, BaseModel):
            left += [each for name, each in value if name != IMAGE]
        elif isinstance(value, dict):
            left += cast(dict[str, object], value).values()
        elif isinstance(value, list):
            left += cast(list[object], value)
    return count


@contextmanager
def _broken_http() -> Generator[None]:
    """Raise what the official client knows if an answer is not HTTP, or has endless headers."""
    try:
        yield
    except aiohttp.ClientError as error:
        raise httpx2.RemoteProtocolError("the provider's answer is not valid HTTP") from error


def _open_event(recent: bytes, size: int) -> int:
    """Return how many bytes belong to the event that has not ended, at most `size`."""
    ends = [end + len(blank) for blank in BLANK_LINES if (end := recent.rfind(blank)) >= 0]
    return min(size, len(recent) - max(ends)) if ends else size


async def _bound(response: httpx2.Response) -> None:
    stream = response.stream
    if not isinstance(stream, httpx2.AsyncByteStream):
        return
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AnswerOverLimit("the answer is compressed, which was not asked for")
    deadline = response.request.extensions[DEADLINE]
    response.stream = BoundedStream(stream, deadline, *_limits(response))


def _limits(response: httpx2.Response) -> tuple[int, int]:
    """Return the bytes that a body may have, and one event of it."""
    if response.is_error:
        return MAX_ERROR_BYTES, MAX_ERROR_BYTES
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return MAX_STREAM_BYTES, MAX_EVENT_BYTES
    return MAX_BODY_BYTES, MAX_BODY_BYTES


@asynccontextmanager
async def _until(deadline: float) -> AsyncGenerator[None]:
    """`asyncio.timeout_at` that raises `AnswerTooSlow`, and only for its own deadline."""
    timeout = asyncio.timeout_at(deadline)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise AnswerTooSlow from None
        raise
