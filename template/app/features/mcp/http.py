"""`POST /mcp`: the server over streamable HTTP, as the user whom the request's token names."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Unavailable
from app.features.mcp.server import create_server
from app.features.mcp.users import user_of_request
from app.i18n import _
from app.security.authentication import CurrentUser
from app.store.engine import Database

PATH = "/mcp"


class HttpEndpoint:
    """The route, and what answers it while the application runs.

    Each request stands for itself, and is answered with JSON: there are no sessions to lose, and
    any process may answer. `CurrentUser` checks where a request comes from, so the SDK need not.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._manager: StreamableHTTPSessionManager | None = None
        self.router = APIRouter(tags=["mcp"])
        self.router.post(PATH, response_class=Response)(self._answer)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        server = create_server(self._database, user_of_request)
        server.streamable_http_app(
            json_response=True,
            stateless_http=True,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        manager = server.session_manager
        async with manager.run():
            self._manager = manager
            yield
        self._manager = None

    async def _answer(self, request: Request, user: CurrentUser) -> Response:
        """Answer a message of the Model Context Protocol."""
        if self._manager is None:
            raise Unavailable(_("The server is starting or stopping. Try again shortly."))
        request.state.user = user
        return _Handed(self._manager.handle_request)


class _Handed(Response):
    """An answer that another application writes."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
