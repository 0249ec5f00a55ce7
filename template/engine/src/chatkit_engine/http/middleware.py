"""Middlewares: a limit on the size of request bodies, and an id for each request."""

import re
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit_engine.errors import ContentTooLarge, problem
from chatkit_engine.i18n import _
from chatkit_engine.store.ids import new_id

REQUEST_ID_HEADER = "X-Request-ID"
VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BodyLimitMiddleware:
    """Refuses bodies of more than `max_bytes`, or of more than the limit of their path, with 413.

    A body without `Content-Length` is counted while it is read.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        if _declared_bytes(scope) > limit:
            request = HTTPConnection(scope)
            response = problem(request, 413, _detail(limit), code=ContentTooLarge.code)
            await response(scope, receive, send)
        else:
            await self._app(scope, _count_bytes(receive, limit), send)

    def _limit(self, path: str) -> int:
        for prefix, limit in self._by_path.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return limit
        return self._max_bytes


def _count_bytes(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_within_limit() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            # Raised inside the application, whose error handler writes the response.
            raise HTTPException(413, _detail(limit))
        return message

    return receive_within_limit


def _detail(limit: int) -> str:
    return _("The body must be at most {limit} bytes.", limit=limit)


def _declared_bytes(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "0")
    # An invalid header does not matter, because the bytes are counted as well.
    return int(declared) if declared.isdecimal() else 0


class RequestIdMiddleware:
    """Gives each request an id, which the log and the response have too.

    It is the caller's `X-Request-ID` if that is valid, else a new one. Anything else is not copied
    to the log, because it could forge log lines.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = received if VALID_REQUEST_ID.fullmatch(received) else new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)
