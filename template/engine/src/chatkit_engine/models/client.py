"""The connection to a provider: the official client over the transport that reads fastest."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, cached_property
from ssl import SSLContext
from typing import Any, cast, get_args

from httpx2 import create_ssl_context
from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout
from openai.resources.responses import AsyncResponses
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, ValidationError

from chatkit_engine.models.coalescing import merge_deltas
from chatkit_engine.models.completion import whole_response
from chatkit_engine.settings.providers import Endpoint

CONNECT_SECONDS = 5.0
NO_KEY = "none"


def create_client(endpoint: Endpoint, timeout_seconds: float) -> AsyncOpenAI:
    """Return the client: C parser, merged deltas. The Agents SDK retries, not the client.

    `timeout_seconds` is how long the provider may be silent, before its first word or later.
    """
    timeout = Timeout(timeout_seconds, connect=CONNECT_SECONDS)
    http_client = DefaultAioHttpClient(
        timeout=timeout, verify=_tls(), event_hooks={"response": [merge_deltas]}
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
    """Return the clients' TLS context: reading the certificates takes 20 ms, so once a process."""
    return create_ssl_context()


NESTED = ("input", "tools")

EVENTS: dict[object, type[BaseModel]] = {
    get_args(event.model_fields["type"].annotation)[0]: event
    for event in get_args(get_args(ResponseStreamEvent)[0])
}


class Client(AsyncOpenAI):
    """The official client, without the work that the Agents SDK's streams do not need."""

    @cached_property
    def responses(self) -> AsyncResponses:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Responses(self)

    def _process_response_data(self, **parameters: Any) -> Any:
        """Read an event as the type that it names; the client tries all of some fifty types.

        What does not fit goes the client's own, forgiving way.
        """
        data = parameters.get("data")
        event = (
            EVENTS.get(cast(dict[str, Any], data).get("type")) if isinstance(data, dict) else None
        )
        if event is not None:
            with suppress(ValidationError):
                return event.model_validate(data)
        return super()._process_response_data(**parameters)


class Responses(AsyncResponses):
    """Sends input and tools as they are.

    The client walks through every nested parameter to rename what was written in Python's style:
    a third of a short turn's CPU. The Agents SDK writes the wire's names, so there is nothing to
    rename; `extra_body` is sent without the walk.
    """

    async def create(self, **parameters: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        body: dict[str, Any] = dict(parameters.pop("extra_body", None) or {})
        for name in NESTED:
            if isinstance(parameters.get(name), list):
                body[name] = parameters.pop(name)
        create = cast(Callable[..., Awaitable[Any]], super().create)
        answer = await create(**parameters, extra_body=body)
        return whole_response(answer) if isinstance(answer, Response) else answer
