"""The connection to a server, which the whole process shares.

A background task opens it, watches it, and opens it again after a failure. A call is never sent
twice, because a call without an answer may still have taken effect.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import structlog
from mcp import Client, MCPError
from mcp.types import CallToolResult, Tool, ToolListChangedNotification

from chatkit_engine.features.mcp.client.errors import (
    CallTimeout,
    ServerUnavailable,
    call_error,
    reason_of,
)
from chatkit_engine.features.mcp.client.transports import open_streams
from chatkit_engine.features.mcp.settings import ServerSettings

log = structlog.stdlib.get_logger(__name__)
MAX_TOOLS = 100
CONNECT_SECONDS = 30
LIST_SECONDS = 10
REFRESH_SECONDS = 60
# More than a process gets to end, see `transports`.
STOP_SECONDS = 3
# How long a turn waits for a connection that is being opened.
WAIT_SECONDS = 10
# What our timeout of a call allows beyond the client's own.
MARGIN_SECONDS = 1
FIRST_BACKOFF, MAX_BACKOFF = 0.5, 30.0
# The wait while a turn wants the server.
SHORT_BACKOFF = 1.0
# A connection that lasted longer is reopened at once.
STABLE_SECONDS = 10


class ServerConnection:
    """The connection to one server. `tools` is the last list of its tools.

    `changes` counts the changes of that list. A turn waits at most `WAIT_SECONDS` for a connection
    that is being opened or reopened, but not for a server whose first connection failed.
    """

    def __init__(self, name: str, settings: ServerSettings) -> None:
        self.name = name
        self.settings = settings
        self.tools: Sequence[Tool] = ()
        self.changes = 0
        self.is_unreachable = False
        self._client: Client | None = None
        self._settled, self._refresh = asyncio.Event(), asyncio.Event()
        self._backoff = Backoff()
        self._wait_until = math.inf
        self._times_opened = 0
        self._stopping = False

    @property
    def is_open(self) -> bool:
        return self._client is not None

    def start(self) -> None:
        """Keep the connection open in the background: the application does not wait for it."""
        self._stopping = False
        self._start_waiting()
        self._scope = anyio.CancelScope()
        self._task = asyncio.create_task(self._run(self._scope), name=f"mcp-{self.name}")

    async def stop(self) -> None:
        """Close the connection in limited time. A connected server may end by itself first."""
        self._stopping = True
        self._refresh.set()
        if not self.is_open:
            self._scope.cancel()
        _, late = await asyncio.wait({self._task}, timeout=STOP_SECONDS)
        if late:
            self._scope.cancel()
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)

    async def ready(self) -> bool:
        """Return whether there is a connection, after waiting for one that is being opened."""
        self._backoff.shorten()
        left = self._wait_until - asyncio.get_running_loop().time()
        if not self.is_open and left > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._settled.wait()
        return self.is_open

    async def call(
        self, tool: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None
    ) -> CallToolResult:
        """Call a tool once.

        Raises:
            ServerUnavailable: nothing was sent.
            CallRefused: the call did not take effect.
            CallLost, CallTimeout: it is unknown whether the call took effect.
        """
        await self.ready()
        if self._client is None:
            raise ServerUnavailable(self.name)
        try:
            async with asyncio.timeout(self.settings.timeout_seconds + MARGIN_SECONDS):
                return await self._client.call_tool(tool, arguments, meta=_wire_meta(meta))
        except MCPError as error:
            self._refresh.set()
            raise call_error(error, self.name) from error
        except TimeoutError:
            self._refresh.set()
            raise CallTimeout(self.name) from None

    async def _run(self, scope: anyio.CancelScope) -> None:
        with scope:
            while not self._stopping:
                opened = self._times_opened
                try:
                    await self._connect()
                except Exception as error:
                    if self._times_opened == opened:
                        self._on_unreachable(error)
                    else:
                        log.warning("lost an MCP server", server=self.name, why=reason_of(error))
                if not self._stopping:
                    await self._backoff.wait()

    async def _connect(self) -> None:
        """Open the connection and watch it until the application stops. Raises if it is lost."""
        self._refresh.clear()
        streams = open_streams(self.settings, self._refresh.set)
        with anyio.fail_after(CONNECT_SECONDS) as limit:
            async with self._client_of(streams) as client:
                await self._list_tools(client)
                limit.deadline = math.inf
                self._on_opened(client)
                try:
                    await self._watch(client)
                finally:
                    self._on_closed()

    def _client_of(self, streams: Any) -> Client:
        timeout = self.settings.timeout_seconds
        return Client(
            streams, cache=None, read_timeout_seconds=timeout, message_handler=self._on_message
        )

    async def _watch(self, client: Client) -> None:
        """List the tools at intervals, and at once after a failure or a notification."""
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._refresh.wait()
            self._refresh.clear()
            if not self._stopping:
                await self._list_tools(client)

    async def _list_tools(self, client: Client) -> None:
        tools = await list_tools(client)
        if tools != self.tools:
            self.tools = tools
            self.changes += 1

    async def _on_message(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._refresh.set()

    def _start_waiting(self) -> None:
        self.is_unreachable = False
        self._settled.clear()
        self._wait_until = asyncio.get_running_loop().time() + WAIT_SECONDS

    def _on_opened(self, client: Client) -> None:
        self._client = client
        self._times_opened += 1
        self.is_unreachable = False
        self._settled.set()
        self._backoff.reset()
        log.info("connected to an MCP server", server=self.name, tools=len(self.tools))

    def _on_closed(self) -> None:
        self._client = None
        self._start_waiting()

    def _on_unreachable(self, error: Exception) -> None:
        if not self.is_unreachable:
            log.warning("cannot reach an MCP server", server=self.name, why=reason_of(error))
        self.is_unreachable = True
        if self._times_opened == 0:
            self._settled.set()


@asynccontextmanager
async def running_together(connections: Sequence[ServerConnection]) -> AsyncGenerator[None]:
    """Run the connections, and stop them at the same time, because each may take its full time."""
    for connection in connections:
        connection.start()
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*(connection.stop() for connection in connections))


class Backoff:
    """Waits longer after each failed attempt, but not at all after a stable connection."""

    def __init__(self) -> None:
        self._attempts = 0
        self._opened_at: float | None = None
        self._shortened = asyncio.Event()

    def reset(self) -> None:
        """Record that an attempt has succeeded."""
        self._opened_at = asyncio.get_running_loop().time()

    def shorten(self) -> None:
        """End the current wait after `SHORT_BACKOFF`, because a turn wants the server now."""
        self._shortened.set()

    async def wait(self) -> None:
        self._attempts = 0 if self._was_stable() else self._attempts + 1
        self._opened_at = None
        if self._attempts == 0:
            return
        seconds = backoff_seconds(self._attempts)
        self._shortened.clear()
        await asyncio.sleep(min(seconds, SHORT_BACKOFF))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - min(seconds, SHORT_BACKOFF)):
                await self._shortened.wait()

    def _was_stable(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._opened_at is not None and now - self._opened_at > STABLE_SECONDS


def backoff_seconds(attempt: int) -> float:
    """Return the seconds to wait before a retry. The first retry is 1."""
    return min(FIRST_BACKOFF * 2 ** min(attempt - 1, 10), MAX_BACKOFF)


async def list_tools(client: Client) -> list[Tool]:
    """Return the server's tools, at most `MAX_TOOLS`.

    Raises:
        TimeoutError, MCPError: the server does not answer.
    """
    tools: list[Tool] = []
    cursor: str | None = None
    with anyio.fail_after(LIST_SECONDS):
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            if page.next_cursor is None or len(tools) >= MAX_TOOLS:
                return tools[:MAX_TOOLS]
            cursor = page.next_cursor


def _wire_meta(meta: dict[str, Any] | None) -> Any:
    return meta
