"""The pauses between attempts to reach a server: longer each time, and short where it is wanted.

What a server offers, page by page, within bounds.

One connection to a server, for the whole process: opened, watched and opened again by one task.

What is sent once is never sent again: a call that the server did not answer may have been done.
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

from chatkit_engine.features.mcp.client.errors import CallTimeout, ServerAway, of_call, reason_of
from chatkit_engine.features.mcp.client.transports import open_streams
from chatkit_engine.features.mcp.settings import ServerSettings

FIRST, LONGEST = 0.5, 30.0
WANTED = 1.0
STABLE_SECONDS = 10
LIST_SECONDS = 10
MAX_TOOLS = 100
log = structlog.stdlib.get_logger(__name__)
CONNECT_SECONDS = 30
PATIENCE_SECONDS = 10
LOOK_SECONDS = 60
MARGIN_SECONDS = 1
STOP_SECONDS = 10


def seconds_before(attempt: int) -> float:
    """Return how long to wait before an attempt, which is 1 for the first that is made again."""
    return min(FIRST * 2 ** min(attempt - 1, 10), LONGEST)


class Pauses:
    """`pause` waits between two attempts; not at all after a connection that held for a while."""

    def __init__(self) -> None:
        self._attempts = 0
        self._opened_at: float | None = None
        self._wanted = asyncio.Event()

    def begin_anew(self) -> None:
        """Say that an attempt has succeeded."""
        self._opened_at = asyncio.get_running_loop().time()

    def cut_short(self) -> None:
        """Say that somebody wants the server now: a pause ends after a second."""
        self._wanted.set()

    async def pause(self) -> None:
        self._attempts = 0 if self._has_held() else self._attempts + 1
        self._opened_at = None
        if self._attempts == 0:
            return
        seconds = seconds_before(self._attempts)
        self._wanted.clear()
        await asyncio.sleep(min(seconds, WANTED))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - min(seconds, WANTED)):
                await self._wanted.wait()

    def _has_held(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._opened_at is not None and now - self._opened_at > STABLE_SECONDS


async def list_tools(client: Client) -> list[Tool]:
    """Return the server's tools, the first hundred of them.

    Raises:
        TimeoutError, MCPError: it does not answer.
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


class ServerConnection:
    """A server, as far as it can be reached. `tools` are what it last listed.

    `changes` counts how often the list was another one. A turn waits `PATIENCE_SECONDS` at most for
    a connection that is being made for the first time or anew, and not at all for a server that
    could not be reached at first.
    """

    def __init__(self, name: str, settings: ServerSettings) -> None:
        self.name = name
        self.settings = settings
        self.tools: Sequence[Tool] = ()
        self.changes = 0
        self.is_away = False
        self._client: Client | None = None
        self._settled, self._look = asyncio.Event(), asyncio.Event()
        self._pauses = Pauses()
        self._patient_until = math.inf
        self._times_opened = 0
        self._stopping = False

    @property
    def is_open(self) -> bool:
        return self._client is not None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep the connection in the background: an app starts without waiting for its servers."""
        self._stopping = False
        self._expect()
        scope = anyio.CancelScope()
        task = asyncio.create_task(self._work(scope), name=f"mcp-{self.name}")
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(task, scope)

    async def ready(self) -> bool:
        """Say whether there is a connection; wait for one that is being made."""
        self._pauses.cut_short()
        left = self._patient_until - asyncio.get_running_loop().time()
        if not self.is_open and left > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._settled.wait()
        return self.is_open

    async def call(
        self, tool: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None
    ) -> CallToolResult:
        """Call a tool, once.

        Raises:
            ServerAway: nothing was sent.
            CallLost, CallTimeout, CallRefused: the call came to nothing, or nobody knows.
        """
        await self.ready()
        if self._client is None:
            raise ServerAway(self.name)
        try:
            async with asyncio.timeout(self.settings.timeout_seconds + MARGIN_SECONDS):
                return await self._client.call_tool(tool, arguments, meta=_wire_meta(meta))
        except MCPError as error:
            self._look.set()
            raise of_call(error, self.name) from error
        except TimeoutError:
            self._look.set()
            raise CallTimeout(self.name) from None

    async def _work(self, scope: anyio.CancelScope) -> None:
        with scope:
            while not self._stopping:
                opened = self._times_opened
                try:
                    await self._connect()
                except Exception as error:
                    if self._times_opened == opened:
                        self._unreachable(error)
                    else:
                        log.warning("lost an MCP server", server=self.name, why=reason_of(error))
                if not self._stopping:
                    await self._pauses.pause()

    async def _connect(self) -> None:
        """Open the connection and watch it until the app stops. Raises when it is lost."""
        self._look.clear()
        streams = open_streams(self.settings, self._look.set)
        with anyio.fail_after(CONNECT_SECONDS) as limit:
            async with self._client_of(streams) as client:
                await self._read_list(client)
                limit.deadline = math.inf
                self._opened(client)
                try:
                    await self._watch(client)
                finally:
                    self._closed()

    def _client_of(self, streams: Any) -> Client:
        timeout = self.settings.timeout_seconds
        return Client(streams, cache=None, read_timeout_seconds=timeout, message_handler=self._hear)

    async def _watch(self, client: Client) -> None:
        """List the tools now and then, and at once where there is a reason to look."""
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look.wait()
            self._look.clear()
            if not self._stopping:
                await self._read_list(client)

    async def _read_list(self, client: Client) -> None:
        tools = await list_tools(client)
        if tools != self.tools:
            self.tools = tools
            self.changes += 1

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._look.set()

    def _expect(self) -> None:
        self.is_away = False
        self._settled.clear()
        self._patient_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS

    def _opened(self, client: Client) -> None:
        self._client = client
        self._times_opened += 1
        self.is_away = False
        self._settled.set()
        self._pauses.begin_anew()
        log.info("connected to an MCP server", server=self.name, tools=len(self.tools))

    def _closed(self) -> None:
        self._client = None
        self._expect()

    def _unreachable(self, error: Exception) -> None:
        if not self.is_away:
            log.warning("cannot reach an MCP server", server=self.name, why=reason_of(error))
        self.is_away = True
        if self._times_opened == 0:
            self._settled.set()

    async def _stop(self, task: asyncio.Task[None], scope: anyio.CancelScope) -> None:
        """End the task within bounds. A server that is connected may end by itself first."""
        self._stopping = True
        self._look.set()
        if not self.is_open:
            scope.cancel()
        _, late = await asyncio.wait({task}, timeout=STOP_SECONDS)
        if late:
            scope.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)


def _wire_meta(meta: dict[str, Any] | None) -> Any:
    return meta
