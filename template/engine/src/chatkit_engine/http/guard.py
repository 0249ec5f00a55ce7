"""What happens between the choice of a route and the first byte of the body.

FastAPI reads and parses a body before it resolves dependencies, so that a stranger could make it
parse. Here, the first read of a body authenticates the user whom the route requires. Then the body
takes its part of the memory for bodies, and JSON is bounded before it is parsed.
"""

from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any, cast

from fastapi import Request
from fastapi.dependencies.models import Dependant
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit_engine.errors import AppError, RefusedBody
from chatkit_engine.http.bodies import SMALL_BODY, BodyBudget
from chatkit_engine.http.dependencies import HELD, MEDIA_TYPES, authenticate
from chatkit_engine.http.json_bodies import (
    check_shape,
    is_json,
    media_type_of,
    off_loop_if_large,
)
from chatkit_engine.http.services import services_of

# A form's file, or an upload, is kept in memory up to this size, and on disk beyond it.
SPOOL_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024


class BodyGuardMiddleware:
    """Authenticates before a body is read, and bounds memory and JSON. The innermost middleware.

    `memory_bytes` is what the bodies of all requests may take together. An answer is sent in pieces
    that wait for a client that reads slowly, and what the request holds is free after that.
    """

    def __init__(self, app: ASGIApp, memory_bytes: int) -> None:
        self._app = app
        self._budget = BodyBudget(memory_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _GuardedBody(scope, receive, self._budget)
        try:
            async with AsyncExitStack() as held:
                scope.setdefault("state", {})[HELD] = held
                await self._app(scope, body.receive, in_pieces(send))
        finally:
            body.give_back()


def in_pieces(send: Send) -> Send:
    """Send large bodies in pieces. The server waits for the client before it takes the next one."""

    async def send_pieces(message: Message) -> None:
        body = message.get("body", b"")
        if len(body) <= PIECE_BYTES:
            await send(message)
            return
        view = memoryview(body)
        for start in range(0, len(body), PIECE_BYTES):
            piece = bytes(view[start : start + PIECE_BYTES])
            await send({**message, "body": piece, "more_body": True})
        await send({**message, "body": b"", "more_body": message.get("more_body", False)})

    return send_pieces


class _GuardedBody:
    def __init__(self, scope: Scope, receive: Receive, budget: BodyBudget) -> None:
        self._scope = scope
        self._receive = receive
        self._budget = budget
        self._holder: str | None = None
        self._received = 0
        self._taken = 0
        self._finished = False

    async def receive(self) -> Message:
        if self._finished:
            return await self._receive()
        try:
            if self._holder is None:
                self._holder = await self._find_holder()
            if takes_json(self._scope):
                return await self._receive_json()
            return await self._receive_chunk()
        except AppError as error:
            raise RefusedBody(error.with_traceback(None)) from None

    def give_back(self) -> None:
        if self._holder is not None:
            self._budget.give_back(self._holder, self._taken)

    async def _find_holder(self) -> str:
        media_types = required_media_types(self._scope)
        if media_types is not None:
            return (await authenticate(Request(self._scope), media_types)).id
        # An address is never equal to a user's id, which has no line break.
        return f"address\n{(self._scope.get('client') or [''])[0]}"

    async def _receive_json(self) -> Message:
        """Return the whole body as one message, after a check of its shape."""
        chunks: list[bytes] = []
        while not self._finished:
            message = await self._receive_chunk()
            if message["type"] != "http.request":
                return message
            chunks.append(message.get("body", b""))
        body = b"".join(chunks)
        await off_loop_if_large(check_shape, body, services_of(Request(self._scope)).parser_threads)
        return {"type": "http.request", "body": body, "more_body": False}

    async def _receive_chunk(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)
        in_memory = self._received if takes_json(self._scope) else min(self._received, SPOOL_BYTES)
        if self._holder is not None and in_memory > max(SMALL_BODY, self._taken):
            self._budget.take(self._holder, in_memory - self._taken)
            self._taken = in_memory
        return message


def required_media_types(scope: Scope) -> Collection[str] | None:
    """Return what the route accepts if it requires a user, or None if it is open."""
    dependant = _dependant(scope)
    return _media_types(dependant) if dependant else None


def takes_json(scope: Scope) -> bool:
    """Return whether the route's body is parsed as JSON: it has a user, or a model for the body.

    Other routes, such as uploads, read their bodies in pieces.
    """
    dependant = _dependant(scope)
    if not is_json(media_type_of(scope)) or dependant is None:
        return False
    return bool(dependant.body_params) or _media_types(dependant) is not None


def _dependant(scope: Scope) -> Dependant | None:
    # An included router may add dependencies to its routes; FastAPI keeps those in the scope.
    included = cast(dict[str, Any], scope.get("fastapi", {})).get("effective_route_context")
    return getattr(included or scope.get("route"), "dependant", None)


def _media_types(dependant: Dependant) -> Collection[str] | None:
    if own := MEDIA_TYPES.get(dependant.call):
        return own
    found = (_media_types(each) for each in dependant.dependencies)
    return next((types for types in found if types is not None), None)
