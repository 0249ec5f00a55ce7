"""Refuses bodies that are too large, whether or not they say so beforehand.

Gives each request an id: the caller's `X-Request-ID` if it is a sane one, else a new one."""

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

HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BodyLimitMiddleware:
    """Answers 413 to a body of more than `max_bytes`, or than its path's own limit."""

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
            await self._app(scope, _counted(receive, limit), send)

    def _limit(self, path: str) -> int:
        for prefix, limit in self._by_path.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return limit
        return self._max_bytes


def _counted(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_within_limit() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, _detail(limit))
        return message

    return receive_within_limit


def _detail(limit: int) -> str:
    return _("The body may have at most {limit} bytes.", limit=limit)


def _declared_bytes(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "0")
    return int(declared) if declared.isdecimal() else 0


class RequestIdMiddleware:
    """Binds the id to the log, keeps it in the scope, and returns it to the caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if SANE.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)
