"""Request bodies: how large they may be, how long they may take, and how much memory they share.

A body that is refused, or that nobody reads to its end, closes the connection, because the rest of
it would have to be read before the next request.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit_engine.errors import ContentTooLarge, RefusedBody, RequestTimeout, Unavailable, problem
from chatkit_engine.i18n import _

# The rest of a body of this size is not worth a new connection.
SMALL_BODY = 64 * 1024
# After an early answer: what is read before the connection is closed. Closing it at once would
# reset it, and clients that send the whole body before they read would lose the answer.
LINGER_SECONDS = 1
LINGER_BYTES = 32 * 1024 * 1024
# One user can take this part of the memory for bodies.
SHARE = 4


class BodyLimitMiddleware:
    """Refuses bodies that are too large (413) or too slow (408).

    `by_path` has limits for paths and those below them, in place of `max_bytes`. A body may take
    `seconds`, or in proportion longer where the limit is larger.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int], seconds: float
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_path = by_path
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        body = _LimitedBody(scope, receive, limit, self._seconds * max(1, limit / self._max_bytes))
        answer = _Answer(body, send)
        if body.declared_bytes > limit:
            error = _too_large(limit)
            response = problem(scope, error.status, error.detail, code=error.code)
            await response(scope, receive, answer.send)
        else:
            await self._app(scope, body.receive, answer.send)

    def _limit(self, path: str) -> int:
        for prefix, limit in self._by_path.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return limit
        return self._max_bytes


class _LimitedBody:
    """A body that is counted and timed while it is read."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, seconds: float) -> None:
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        # An invalid header does not matter, because the bytes are counted as well.
        self.declared_bytes = int(declared) if declared.isdecimal() else 0
        self._is_chunked = "transfer-encoding" in headers
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._deadline: float | None = None
        self._received = 0
        self._finished = self._is_late = False

    @property
    def is_left_over(self) -> bool:
        """Whether the client may still send more than is worth reading, or than comes in time."""
        rest = self.declared_bytes - self._received
        is_large = self._is_chunked or rest > SMALL_BODY
        return not self._finished and (is_large or self._is_late)

    async def receive(self) -> Message:
        if self._finished:
            return await self._receive()
        message = await self._receive_in_time()
        self._received += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)
        if self._received > self._limit:
            # Raised inside the application, whose error handler writes the response.
            raise RefusedBody(_too_large(self._limit))
        return message

    async def discard(self) -> None:
        """Read a part of the rest, until the client notices the answer."""
        left = LINGER_BYTES
        while left > 0:
            message = await self._receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    async def _receive_in_time(self) -> Message:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            self._is_late = True
            detail = _(
                "The body did not arrive within {seconds} seconds. Send it again.",
                seconds=round(self._seconds),
            )
            raise RefusedBody(RequestTimeout(detail)) from None


class _Answer:
    """Closes the connection after an answer that was given before the end of the body."""

    def __init__(self, body: _LimitedBody, send: Send) -> None:
        self._body = body
        self._send = send
        self._closes = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._body.is_left_over:
            self._closes = True
            MutableHeaders(scope=message)["Connection"] = "close"
        if not self._closes or message.get("more_body", False):
            await self._send(message)
        elif message["type"] == "http.response.body":
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._body.discard()
        except TimeoutError:
            pass


class BodyBudget:
    """The memory that the bodies of all requests of this process share.

    One holder, a user or an address, can take a quarter of it. Small bodies are not counted: the
    number of connections bounds them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: Counter[str] = Counter()
        self._total = 0

    def take(self, holder: str, size: int) -> None:
        """Take memory for a body.

        Raises:
            Unavailable: there is none left for now.
        """
        is_greedy = self._held[holder] + size > self._max_bytes / SHARE
        if is_greedy or self._total + size > self._max_bytes:
            raise Unavailable(
                _("The server is receiving too many large requests. Try again in a few seconds.")
            )
        self._held[holder] += size
        self._total += size

    def give_back(self, holder: str, size: int) -> None:
        self._total -= size
        self._held[holder] -= size
        if not self._held[holder]:
            del self._held[holder]


def _too_large(limit: int) -> ContentTooLarge:
    return ContentTooLarge(_("The body must be at most {limit} bytes.", limit=limit))
