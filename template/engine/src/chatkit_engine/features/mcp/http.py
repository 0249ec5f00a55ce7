"""`POST /mcp`: the server over streamable HTTP, as the user whom the request's token names."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from chatkit_engine.features.mcp.server import create_server
from chatkit_engine.features.mcp.users import user_of_request
from chatkit_engine.http.dependencies import CurrentUser
from chatkit_engine.store.database import Database

PATH = "/mcp"


class HttpEndpoint:
    """The route, and what answers it while the application runs.

    Each request stands for itself, and is answered with JSON: there are no sessions to lose, and
    any process may answer. `CurrentUser` checks where a request comes from, so the SDK need not.
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
        async with held(self._manager.run()):
            yield

    async def _answer(self, request: Request, user: CurrentUser) -> Response:
        """Answer a message of the Model Context Protocol."""
        request.state.user = user
        return _AsgiResponse(self._manager.handle_request)


@asynccontextmanager
async def held(resource: AbstractAsyncContextManager[object]) -> AsyncGenerator[None]:
    """Hold what has to be left by the task that entered it, which a lifespan does not promise."""
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
    """An answer that another application writes."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
