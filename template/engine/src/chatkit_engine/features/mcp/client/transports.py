"""How a server is reached: a process that is started, or a URL."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2
from mcp import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from chatkit_engine.features.mcp.settings import ServerSettings

HTTP_CONNECT_SECONDS = 10
Streams = tuple[Any, Any]


@asynccontextmanager
async def open_streams(
    server: ServerSettings, ended: Callable[[], None]
) -> AsyncGenerator[Streams]:
    """Start the server, or open a client to it, and end it afterwards.

    A process that does not end by itself is killed with its children, within seconds. `ended` is
    called when a process says nothing any more; who is at a URL is seen only when it is asked.
    """
    if server.command is not None:
        async with stdio_client(_process(server, server.command)) as (read, write):
            yield _Watched(read, ended), write
        return
    timeout = httpx2.Timeout(server.timeout_seconds, connect=HTTP_CONNECT_SECONDS)
    async with (
        httpx2.AsyncClient(headers=_revealed(server.headers), timeout=timeout) as client,
        streamable_http_client(server.url or "", http_client=client) as streams,
    ):
        yield streams


class _Watched:
    """A stream of messages whose reader is not the only one to learn that it is over."""

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
    """The process gets these variables, and of ours the path, the home and the like alone."""
    env = _revealed(server.env)
    return StdioServerParameters(command=command, args=server.args, env=env, cwd=server.cwd)


def _revealed(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}
