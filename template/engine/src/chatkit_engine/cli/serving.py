"""`serve`: uvicorn, with a shutdown that lets running turns finish."""

import asyncio
import errno
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import structlog
import typer
import uvicorn
from fastapi import FastAPI

from chatkit_engine.cli.connections import limited_protocol
from chatkit_engine.http.services import services_of
from chatkit_engine.settings.core import Settings

log = structlog.stdlib.get_logger(__name__)

CLOSE_SECONDS = 5
# After a second signal: enough to stop turns and child processes, and to save.
LAST_SECONDS = 3
GC_THRESHOLDS = (10_000, 10, 10)


def run_server(app: FastAPI, settings: Settings) -> None:
    """Serve until the process receives SIGINT, SIGTERM or SIGHUP."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=limited_protocol(settings),
        log_config=None,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    server = DrainingServer(config, app, settings.shutdown_grace_seconds)
    freeze_garbage_collector()
    server.run()
    if not server.started:
        raise typer.Exit(1)


def log_failure(message: str) -> NoReturn:
    """Log why the server does not start, each problem in a line, and exit with status 1."""
    for line in message.splitlines():
        log.critical(line)
    raise typer.Exit(1)


def check_address(settings: Settings) -> None:
    """Exit in words if the server cannot listen, before the application starts."""
    host, port = settings.host, settings.port
    problems = {
        errno.EADDRINUSE: f"Port {port} is in use: stop what uses it, or set PORT to another.",
        errno.EACCES: f"Port {port} needs rights that the service lacks: set PORT to 1024 or more.",
        errno.EADDRNOTAVAIL: f"HOST={host} is not an address of this machine.",
    }
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except socket.gaierror:
        log_failure(f"HOST={host} is not known: set it to an address, such as 127.0.0.1.")
    except OSError as error:
        log_failure(problems.get(error.errno or 0, f"Cannot listen on {host}:{port}."))


def run_with_reload(settings: Settings, app: str) -> None:
    """Serve, and restart when the code changes."""
    uvicorn.run(
        f"{app}.main:app",
        host=settings.host,
        port=settings.port,
        log_config=None,
        reload=True,
        server_header=False,
        ws="none",
    )


class DrainingServer(uvicorn.Server):
    """On SIGTERM, SIGINT or SIGHUP: "not ready", waits for turns, saves the rest, then closes.

    A second signal ends the waiting: what there is is saved, and the process ends within seconds.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, grace_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._grace_seconds = grace_seconds

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        with super().capture_signals(), _hangup_handled_by(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            super().handle_exit(sig, frame)
            return
        end_in_time(sig)
        self.config.timeout_graceful_shutdown = 1
        self._loop.call_soon_threadsafe(self._hurry)

    def _hurry(self) -> None:
        log.warning("a second signal: ending now")
        service = services_of(self._app).chat
        if service is not None:
            service.turns.hurry()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service = services_of(self._app).chat
        if service is not None:
            await service.turns.drain(self._grace_seconds)
            await asyncio.sleep(0)
        await super().shutdown(sockets)


@contextmanager
def _hangup_handled_by(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Handle SIGHUP, unless it is ignored, as by `nohup`, or Windows does not have it."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        yield
        return
    original = signal.signal(hangup, handler)
    try:
        yield
    finally:
        signal.signal(hangup, original)


def end_in_time(number: int) -> None:
    """End the process in `LAST_SECONDS`, even if the loop or a thread never returns."""
    timer = threading.Timer(LAST_SECONDS, os._exit, [128 + number])
    timer.daemon = True
    timer.start()


def freeze_garbage_collector() -> None:
    """Exclude the objects loaded at start from garbage collection, and collect less often.

    The SDKs load some 400,000 objects for good, and a full collection that scans them pauses every
    stream for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
