"""A turn as an HTTP response: a stream of server-sent events, or one response at the end.

Either way, a client that disconnects stops the turn.
"""

import asyncio
from contextlib import suppress

from anyio import CancelScope
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chatkit_engine.turns.service import Replay
from chatkit_engine.turns.turn import Turn

# Without `X-Accel-Buffering`, nginx would hold back the stream.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"


class TurnStream(StreamingResponse):
    """Streams a turn. If the client disconnects, the turn is stopped and what it wrote is kept."""

    def __init__(self, turn: Turn | Replay, heartbeat_seconds: float) -> None:
        headers = HEADERS | replay_headers(turn)
        super().__init__(turn.chunks(heartbeat_seconds), media_type=MEDIA_TYPE, headers=headers)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_while_open(message: Message) -> None:
            # Sending to a closed connection may raise before Starlette sees the disconnect.
            with suppress(OSError, RuntimeError):
                await send(message)

        try:
            await super().__call__(scope, receive, send_while_open)
        finally:
            # Starlette cancels this task on a disconnect, but the turn has to be stored first.
            with CancelScope(shield=True):
                await self._turn.stop()


def replay_headers(turn: Turn | Replay) -> dict[str, str]:
    """Return the headers that mark a replayed response."""
    return {"Idempotent-Replayed": "true"} if turn.replayed else {}


async def wait_for(turn: Turn | Replay, request: Request) -> None:
    """Wait until the turn has ended. If the client disconnects, the turn is stopped."""
    ended = asyncio.create_task(turn.wait())
    disconnected = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({ended, disconnected}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        disconnected.cancel()
        with CancelScope(shield=True):
            await turn.stop()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
