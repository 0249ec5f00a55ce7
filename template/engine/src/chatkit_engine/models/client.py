"""The client of a provider: the official one, with less work per event."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, cached_property
from ssl import SSLContext
from typing import Any, cast, get_args

from httpx2 import create_ssl_context
from openai import AsyncOpenAI, AsyncStream, Timeout
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.resources.responses import AsyncResponses
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, ValidationError

from chatkit_engine.models.answer_limits import BoundedHttpClient
from chatkit_engine.models.coalescing import merge_deltas
from chatkit_engine.models.completion import whole_response
from chatkit_engine.models.resilience import AnswerBroken
from chatkit_engine.settings.providers import Endpoint

CONNECT_SECONDS = 5.0
# The client requires a key, even for a server that does not.
NO_KEY = "none"

DONE = "[DONE]"
# The stream's private attribute with the decoder that `_make_sse_decoder` has returned.
DECODER = "_decoder"
NESTED = ("input", "tools")
EVENTS: dict[object, type[BaseModel]] = {
    get_args(event.model_fields["type"].annotation)[0]: event
    for event in get_args(get_args(ResponseStreamEvent)[0])
}


def create_client(endpoint: Endpoint, timeout_seconds: float, answer_seconds: float) -> AsyncOpenAI:
    """Return a client over aiohttp, whose HTTP parser is written in C, with merged deltas.

    `timeout_seconds` is how long the provider may send nothing, at any time, and `answer_seconds`
    how long a whole answer may take. The client does not retry, because the Agents SDK does.
    """
    timeout = Timeout(timeout_seconds, connect=CONNECT_SECONDS)
    http_client = BoundedHttpClient(
        answer_seconds, timeout=timeout, verify=_tls(), event_hooks={"response": [merge_deltas]}
    )
    return Client(
        api_key=endpoint.key.get_secret_value() if endpoint.key else NO_KEY,
        base_url=endpoint.url,
        max_retries=0,
        timeout=timeout,
        http_client=http_client,
    )


@cache
def _tls() -> SSLContext:
    """Return the TLS context of all clients, because reading the certificates takes 20 ms."""
    return create_ssl_context()


class Client(AsyncOpenAI):
    """The official client, without work that the Agents SDK does not need."""

    @cached_property
    def responses(self) -> AsyncResponses:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Responses(self)

    def _process_response_data(self, **parameters: Any) -> Any:
        """Validate an event as the type that it names; the base class tries some fifty types.

        An event that does not fit is left to the base class, which is lenient.
        """
        data = parameters.get("data")
        event = (
            EVENTS.get(cast(dict[str, Any], data).get("type")) if isinstance(data, dict) else None
        )
        if event is not None:
            with suppress(ValidationError):
                return event.model_validate(data)
        return super()._process_response_data(**parameters)

    def _make_sse_decoder(self) -> SSEDecoder:
        return Decoder()


class Decoder(SSEDecoder):
    """Drops events without data, such as `retry: 3000`, which some servers and proxies send.

    `is_done` says whether the stream has announced its end.
    """

    is_done = False

    def decode(self, line: str) -> ServerSentEvent | None:
        event = super().decode(line)
        if event is None or not event.data.strip():
            return None
        self.is_done = self.is_done or event.data.startswith(DONE)
        return CheckedEvent(event=event.event, data=event.data, id=event.id, retry=event.retry)


def is_done(stream: AsyncStream[Any]) -> bool:
    """Return whether `[DONE]` has come, which some servers send in place of a `finish_reason`."""
    return bool(getattr(stream, DECODER, Decoder()).is_done)


class CheckedEvent(ServerSentEvent):
    """An event whose invalid JSON is an answer that broke off."""

    def json(self) -> Any:
        try:
            return super().json()
        # JSON of a hundred thousand brackets is deeper than Python's stack.
        except (ValueError, RecursionError):
            raise AnswerBroken("invalid_json") from None


class Responses(AsyncResponses):
    """Sends input and tools in `extra_body`, because that is not transformed.

    The base class walks through every other parameter to rename Python-style keys, which takes a
    third of the CPU time of a short turn. The Agents SDK already uses the API's names.
    """

    async def create(self, **parameters: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        body: dict[str, Any] = dict(parameters.pop("extra_body", None) or {})
        for name in NESTED:
            if isinstance(parameters.get(name), list):
                body[name] = parameters.pop(name)
        create = cast(Callable[..., Awaitable[Any]], super().create)
        answer = await create(**parameters, extra_body=body)
        return whole_response(answer) if isinstance(answer, Response) else answer
