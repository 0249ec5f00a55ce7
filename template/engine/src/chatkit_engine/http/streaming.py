"""A turn as a response: server-sent events, or one wait, and the end of it when nobody listens."""

import asyncio
from contextlib import suppress

from anyio import CancelScope
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chatkit_engine.turns.service import Replay
from chatkit_engine.turns.turn import Turn

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"


class TurnStream(StreamingResponse):
    """Streams a turn. A client that drops stops it, and what was written is kept."""

    def __init__(self, turn: Turn | Replay, heartbeat_seconds: float) -> None:
        headers = HEADERS | replay_headers(turn)
        super().__init__(turn.chunks(heartbeat_seconds), media_type=MEDIA_TYPE, headers=headers)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_while_open(message: Message) -> None:
            """A connection that is closed already raises here, before the disconnect is told."""
            with suppress(OSError, RuntimeError):
                await send(message)

        try:
            await super().__call__(scope, receive, send_while_open)
        finally:
            with CancelScope(shield=True):
                await self._turn.stop()


def replay_headers(turn: Turn | Replay) -> dict[str, str]:
    """Say of an answer that it was given before."""
    return {"Idempotent-Replayed": "true"} if turn.replayed else {}


async def wait_for(turn: Turn | Replay, request: Request) -> None:
    """Wait until the turn has ended; a client that drops stops it."""
    ended = asyncio.create_task(turn.wait())
    dropped = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({ended, dropped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        dropped.cancel()
        with CancelScope(shield=True):
            await turn.stop()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
