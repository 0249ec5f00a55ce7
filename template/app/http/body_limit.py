"""Refuses bodies that are too large, whether or not they say so beforehand."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ContentTooLarge, problem
from app.i18n import _


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
