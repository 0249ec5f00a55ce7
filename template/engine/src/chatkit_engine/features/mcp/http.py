"""Serves the MCP server over streamable HTTP at `POST /mcp`, for the authenticated user."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit_engine.features.mcp.server import create_server
from chatkit_engine.features.mcp.users import user_of_request
from chatkit_engine.http.dependencies import CurrentUser
from chatkit_engine.store.database import Database

PATH = "/mcp"


class HttpEndpoint:
    """The route, and the server that answers it while the application runs.

    Requests are stateless and answered with JSON, so that any process may answer them. The SDK's
    check of the request's origin is off, because `CurrentUser` checks it.
    """

    _manager: StreamableHTTPSessionManager

    def __init__(self, app: str, database: Database) -> None:
        self._app = app
        self._database = database
        self.router = APIRouter(tags=["mcp"])
        self.router.post(PATH, response_class=Response)(self._answer)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        server = create_server(self._app, self._database, user_of_request)
        server.streamable_http_app(
            json_response=True,
            stateless_http=True,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self._manager = server.session_manager
        async with entered_by_task(self._manager.run()):
            yield

    async def _answer(self, request: Request, user: CurrentUser) -> Response:
        """Answer a message of the Model Context Protocol."""
        # Read here, because the SDK answers errors while reading with a 500.
        return _AsgiResponse(self._manager.handle_request, await request.body())


@asynccontextmanager
async def entered_by_task(resource: AbstractAsyncContextManager[object]) -> AsyncGenerator[None]:
    """Enter and exit the resource in one task.

    Its cancel scope requires that, but a lifespan may be entered and exited by different tasks.
    """
    entered, left = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        try:
            async with resource:
                entered.set()
                await left.wait()
        finally:
            entered.set()

    task = asyncio.create_task(hold())
    try:
        await entered.wait()
        if task.done():
            await task
        yield
    finally:
        left.set()
        await task


class _AsgiResponse(Response):
    """A response that another ASGI application writes, from a body that was read."""

    def __init__(self, app: ASGIApp, body: bytes) -> None:
        super().__init__()
        self._app = app
        self._request_body: Message | None = {"type": "http.request", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_again() -> Message:
            message, self._request_body = self._request_body, None
            return message or await receive()

        await self._app(scope, receive_again, send)
