"""`serve`: uvicorn, with a shutdown that lets running turns finish."""

import asyncio
import gc
import socket

import typer
import uvicorn
from fastapi import FastAPI

from chatkit_engine.cli.connections import limited_protocol
from chatkit_engine.http.services import services_of
from chatkit_engine.settings.core import Settings

CLOSE_SECONDS = 5
GC_THRESHOLDS = (10_000, 10, 10)


def run_server(app: FastAPI, settings: Settings) -> None:
    """Serve until the process receives SIGINT or SIGTERM."""
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
    """On SIGTERM: reports "not ready", waits for running turns, saves the rest, then closes."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, grace_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service = services_of(self._app).chat
        if service is not None and not self.force_exit:
            await service.turns.drain(self._grace_seconds)
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def freeze_garbage_collector() -> None:
    """Exclude the objects loaded at start from garbage collection, and collect less often.

    The SDKs load some 400,000 objects for good, and a full collection that scans them pauses every
    stream for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
