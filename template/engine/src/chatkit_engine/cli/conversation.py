"""`chat`: sends one message from the terminal, as one turn, the same way as over HTTP."""

import sys
from asyncio import CancelledError

import typer
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ErrorEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from chatkit_engine.application import Application
from chatkit_engine.context import RequestContext, User
from chatkit_engine.store.leases import Outcome
from chatkit_engine.store.usage import Usage
from chatkit_engine.turns.requests import user_message_request

HEARTBEAT_SECONDS = 3600.0


class Terminal:
    """Encodes an answer's events as plain text. `error` is the message of a failed turn."""

    def __init__(self) -> None:
        self.error: str | None = None

    def encode(self, event: ThreadStreamEvent) -> bytes:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as update):
                return update.delta.encode()
            case ErrorEvent():
                self.error = event.message or "The assistant could not answer."
                return b""
            case _:
                return b""

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        return b"\n"


async def converse(
    application: Application, message: str, user_id: str, thread_id: str | None, *, new: bool
) -> bool:
    """Send `message` and print the answer. Return whether there was one."""
    context = RequestContext(user=User(id=user_id))
    async with application.running() as service:
        if thread_id is None and not new:
            newest = await service.store.load_threads(1, None, "desc", context)
            thread_id = newest.data[0].id if newest.data else None
        terminal = Terminal()
        turn = await service.start(user_message_request(message, thread_id), context, terminal)
        try:
            async for chunk in turn.chunks(HEARTBEAT_SECONDS):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except CancelledError:
            await turn.stop()
            raise
    if terminal.error:
        typer.echo(terminal.error, err=True)
        if problem := application.model.problem():
            typer.echo(problem, err=True)
    return terminal.error is None
