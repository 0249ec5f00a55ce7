"""Limits of connections: how many there are, and how long one may stay silent.

uvicorn waits for the head of a request for as long as the client likes, so a few idle sockets would
use up the process's descriptors.
"""

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatkit_engine.errors import MEDIA_TYPE
from chatkit_engine.http.bodies import LINGER_SECONDS
from chatkit_engine.http.middleware import SECURITY_HEADERS
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import is_loopback

try:
    import resource
except ImportError:  # Windows
    resource = None

log = structlog.stdlib.get_logger(__name__)

MAX_HEAD_BYTES = 64 * 1024
# Requests that wait for the answers before theirs. One packet may have thousands.
MAX_PIPELINED = 20
# Descriptors that are left for the database, files, and the model's API.
RESERVED_DESCRIPTORS = 256
SECONDS_BETWEEN_LOGS = 60
# How long a client may read nothing of an answer.
STALLED_SECONDS = 60


@dataclass
class Connections:
    """The open connections of a process, the oldest first."""

    max_total: int
    max_per_address: int
    silent_seconds: float
    _open: "dict[LimitedProtocol, str]" = field(default_factory=dict["LimitedProtocol", str])
    _by_address: Counter[str] = field(default_factory=Counter[str])
    _logged_at: float | None = None

    def add(self, connection: "LimitedProtocol", address: str) -> bool:
        """Add a connection, and close the oldest idle one if there are too many.

        Returns False if all others are busy.
        """
        self._open[connection] = address
        self._by_address[address] += 1
        # Loopback is a proxy on this machine, or the user of AUTH_MODE=local.
        limited = not is_loopback(address)
        if limited and self._by_address[address] > self.max_per_address:
            return self._make_room(connection, address)
        return len(self._open) <= self.max_total or self._make_room(connection, None)

    def remove(self, connection: "LimitedProtocol") -> None:
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _make_room(self, newest: "LimitedProtocol", address: str | None) -> bool:
        self._log(address)
        for connection, its_address in self._open.items():
            is_candidate = address is None or its_address == address
            if is_candidate and connection is not newest and connection.is_idle:
                self.remove(connection)
                connection.transport.abort()
                return True
        return False

    def _log(self, address: str | None) -> None:
        now = time.monotonic()
        if self._logged_at is None or now - self._logged_at > SECONDS_BETWEEN_LOGS:
            self._logged_at = now
            log.warning(
                "too many connections: idle ones are closed, and new ones refused if all are busy",
                open=len(self._open),
                address=address or "all",
            )


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with limits for the head of a request and for silence.

    The body is timed where it is read (`http/bodies.py`).
    """

    def __init__(self, *args: Any, limits: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = None
        self._is_refused = False
        self._stall: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return not self.cycle or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # pyright: ignore[reportArgumentType]
        address = self.client[0] if self.client else ""
        if self._limits.add(self, address):
            self._start_timer()
        else:
            self._refuse(503, "Too many connections. Try again in a few seconds.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.remove(self)
        self._stop_timer()
        self._stop_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "The head of the request is too large.")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            # Ends the parser, which would read the rest of the packet.
            raise ConnectionAbortedError
        super().on_message_begin()
        self._head_bytes = 0
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # uvicorn's own timer ends with any byte, also one that begins no request.
        if self.is_idle and not self.transport.is_closing():
            self._start_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_stall()
        self._stall = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._limits.silent_seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _time_out(self) -> None:
        if not self.is_idle:
            # The next request has begun while this one is being answered.
            self._start_timer()
        elif self._head_bytes is None:
            self.transport.close()
        else:
            self._refuse(408, "The head of the request did not arrive in time.")

    def _refuse(self, status: int, text: str) -> None:
        """Answer without the application, and close the connection."""
        self._stop_timer()
        self._head_bytes = None
        self._is_refused = True
        self.transport.write(refusal(status, text))
        # Closing at once would reset a connection on which the client still sends, and it would
        # lose the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(400, msg)


def refusal(status: int, text: str) -> bytes:
    """Return a whole answer, as a problem body (RFC 9457)."""
    phrase = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": phrase, "status": status, "detail": text}
    body = json.dumps(problem | {"code": phrase.lower().replace(" ", "_")}).encode()
    headers = SECURITY_HEADERS | {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **({"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    }
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def limited_protocol(settings: Settings) -> Any:
    """Return what `uvicorn.Config(http=...)` takes. Raises the limit of descriptors if needed."""
    total = min(settings.max_connections, raise_descriptor_limit(settings.max_connections))
    limits = Connections(
        max_total=total,
        max_per_address=settings.max_connections_per_address,
        silent_seconds=settings.connection_timeout_seconds,
    )
    return partial(LimitedProtocol, limits=limits)


def raise_descriptor_limit(connections: int) -> int:
    """Let the process open so many connections, and return how many it can have."""
    if resource is None:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    possible = max(1, soft - min(RESERVED_DESCRIPTORS, soft // 2))
    if possible < connections:
        log.warning(
            "the limit of open files allows fewer connections than MAX_CONNECTIONS",
            connections=possible,
            open_files=soft,
        )
    return possible
