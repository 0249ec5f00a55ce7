"""Opens the transport to a server: a process that is started, or a URL."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2
from mcp import StdioServerParameters
from mcp.client import stdio
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from chatkit_engine.features.mcp.settings import ServerSettings

HTTP_CONNECT_SECONDS = 10
# What a process gets to end by itself, and then on SIGTERM, before it is killed. The SDK has no
# parameter for these times, and with its own a stopped process would delay our end by four seconds.
stdio.PROCESS_TERMINATION_TIMEOUT = 1.0
stdio.FORCE_KILL_TIMEOUT = 0.5
Streams = tuple[Any, Any]


@asynccontextmanager
async def open_streams(
    server: ServerSettings, ended: Callable[[], None]
) -> AsyncGenerator[Streams]:
    """Start the server or connect to it, and stop it or disconnect afterwards.

    A process that does not end by itself is killed with its children, within seconds. `ended` is
    called when a process closes its output. The end of a server at a URL is noticed only by the
    next request.
    """
    if server.command is not None:
        async with stdio.stdio_client(_process(server, server.command)) as (read, write):
            yield _NotifyingStream(read, ended), write
        return
    timeout = httpx2.Timeout(server.timeout_seconds, connect=HTTP_CONNECT_SECONDS)
    async with (
        httpx2.AsyncClient(headers=_revealed(server.headers), timeout=timeout) as client,
        streamable_http_client(server.url or "", http_client=client) as streams,
    ):
        yield streams


class _NotifyingStream:
    """A stream of messages that calls `ended` when it is closed."""

    def __init__(self, stream: Any, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    async def receive(self) -> Any:
        return await self._stream.receive()

    async def aclose(self) -> None:
        self._ended()
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


def _process(server: ServerSettings, command: str) -> StdioServerParameters:
    """Return how to start the process. It inherits only basic variables such as PATH and HOME."""
    env = _revealed(server.env)
    return StdioServerParameters(command=command, args=server.args, env=env, cwd=server.cwd)


def _revealed(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}
