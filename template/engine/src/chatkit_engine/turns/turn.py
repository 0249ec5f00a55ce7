"""The life of a turn: a task pumps its events into a buffer, saves checkpoints, and ends it.

Success, an exception, a disconnect and a shutdown all end in the same place, the `finally` of
`Turn._run`, because every end has to save what there is and release the lease.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Protocol

import structlog
from chatkit.errors import ErrorCode
from chatkit.types import ErrorEvent, ThreadStreamEvent

from chatkit_engine.errors import Unavailable
from chatkit_engine.i18n import _
from chatkit_engine.run.partial_items import PartialItems
from chatkit_engine.run.server import RequestServer
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.leases import LEASE_SECONDS, LeaseLost, Outcome
from chatkit_engine.store.usage import Usage

log = structlog.stdlib.get_logger(__name__)
CHECKPOINT_SECONDS = 1.0
STOP_SECONDS = 5.0
HURRY_SECONDS = 0.5
# In checkpoints. A lease survives two renewals that fail.
RENEW_EVERY = LEASE_SECONDS // 3
# For a database that restarts or fails over. Each attempt may itself wait for a lock.
CLOSE_SECONDS = 30.0
CLOSE_PAUSES = (0.2, 0.5, *(1.0,) * 29)
# A comment line. SSE clients ignore it, and proxies keep the connection open.
HEARTBEAT = b": ping\n\n"
GONE = _("This thread was deleted or continued elsewhere. The answer was not saved.")
RESTARTING = _("The server is restarting. The answer so far was saved; please ask again.")


class Encoder(Protocol):
    """Encodes a turn's events for one kind of client. Empty bytes are not sent."""

    def encode(self, event: ThreadStreamEvent) -> bytes: ...

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        """Return what follows the last event, after everything is stored."""
        ...


class Turn:
    """Pumps one turn's events into a buffer, whether or not the response still reads it."""

    replayed = False

    def __init__(
        self,
        server: RequestServer,
        store: TurnStore,
        events: AsyncIterator[ThreadStreamEvent],
        encoder: Encoder,
    ) -> None:
        self._server = server
        self._store = store
        self._events = events
        self._encoder = encoder
        self._buffer = Buffer()
        self._partial_items = PartialItems()
        self._outcome: Outcome = "completed"
        self._ending = asyncio.Event()
        self._farewell: ErrorEvent | None = None
        self._task = asyncio.create_task(self._run())

    async def chunks(self, heartbeat_seconds: float) -> AsyncIterator[bytes]:
        """Yield the encoded events, and an SSE comment if there is none for `heartbeat_seconds`."""
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    chunk = await self._buffer.take()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if not chunk:
                return
            yield chunk

    async def wait(self) -> None:
        """Wait until the turn is stored. Its output is discarded because nobody reads it."""
        self._buffer.release()
        await self.done()

    async def stop(self, farewell: ErrorEvent | None = None) -> None:
        """Stop the turn if it is running, and return when everything is stored.

        The model is stopped first, so that the stream ends normally within 5 seconds and the user's
        input is stored. After that, the task is cancelled. `farewell` is the last event.
        """
        self._farewell = self._farewell or farewell
        self._buffer.release()
        self._server.stop()
        # Unlike `wait_for`, `wait` does not cancel the task after the timeout.
        await asyncio.wait({self._task}, timeout=STOP_SECONDS)
        self.cut()
        await self.done()

    def cut(self) -> None:
        """Stop working on the answer now. The turn then saves what it has."""
        if not self._ending.is_set():
            self._task.cancel()

    async def done(self) -> None:
        """Wait until the turn has ended."""
        await asyncio.wait({self._task})

    def on_end(self, callback: Callable[[], object]) -> None:
        self._task.add_done_callback(lambda _: callback())

    async def _run(self) -> None:
        checkpoints = asyncio.create_task(self._save_checkpoints())
        try:
            async for event in self._events:
                await self._forward(event)
            if self._server.interrupted:
                self._outcome = "interrupted"
        except (asyncio.CancelledError, LeaseLost):
            self._outcome = "interrupted"
        except Exception:
            log.exception("the turn failed", turn=self._store.lease.turn_id)
            self._server.stop()
            await self._forward(ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True))
        finally:
            self._ending.set()
            await checkpoints
            try:
                await self._end()
            finally:
                self._buffer.end()

    async def _forward(self, event: ThreadStreamEvent) -> None:
        self._partial_items.observe(event)
        if isinstance(event, ErrorEvent):
            self._outcome = "failed"
        await self._put(event)

    async def _put(self, event: ThreadStreamEvent) -> None:
        if chunk := self._encoder.encode(self._server.outgoing(event)):
            await self._buffer.put(chunk)

    async def _end(self) -> None:
        try:
            await self._close()
        except LeaseLost:
            log.warning("the turn's end was not stored", turn=self._store.lease.turn_id)
            await self._put(ErrorEvent(code="custom", message=GONE, allow_retry=False))
        except Exception:
            log.exception("the turn's end was not stored", turn=self._store.lease.turn_id)
            with suppress(DatabaseUnavailable):
                await self._store.abandon(self._server.usage)
            if self._outcome != "failed":
                await self._put(ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True))
        # Now, because the farewell says that the answer was saved.
        if self._outcome == "interrupted" and self._farewell:
            await self._put(self._farewell)
        if last := self._encoder.end(self._outcome, self._server.usage):
            await self._buffer.put(last)

    async def _close(self) -> None:
        """Store the turn's end, retrying for half a minute while the database is unavailable."""
        give_up = time.monotonic() + CLOSE_SECONDS
        for pause in takewhile(lambda _: time.monotonic() < give_up, CLOSE_PAUSES):
            with suppress(DatabaseUnavailable):
                await self._store_end()
                return
            await asyncio.sleep(pause)
        await self._store_end()

    async def _store_end(self) -> None:
        await self._store.close(self._outcome, self._partial_items.snapshot(), self._server.usage)

    async def _save_checkpoints(self) -> None:
        ticks = 0
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECKPOINT_SECONDS):
                    await self._ending.wait()
                    return
            ticks += 1
            if self._partial_items.dirty or ticks % RENEW_EVERY == 0:
                await self._checkpoint()

    async def _checkpoint(self) -> None:
        try:
            await self._store.checkpoint(self._partial_items.snapshot())
        except LeaseLost:
            # The task then fails to close the turn as well, and tells the client about it.
            log.warning("the turn was ended from outside", turn=self._store.lease.turn_id)
            self._server.stop()
        except Exception:
            # The items are still unsaved: try again at the next checkpoint.
            self._partial_items.dirty = True
            log.exception("a checkpoint failed", turn=self._store.lease.turn_id)


class Buffer:
    """A bounded buffer between the turn's task, which writes, and the response, which reads.

    After `release` the writer never waits again. Release before cancelling the writer: a writer
    that is cancelled while it waits for space would not pass the cancellation on to the model.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._bounded = True
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        while self._bounded and len(self._chunks) >= self._limit:
            self._writable.clear()
            await self._writable.wait()
        self._chunks.append(chunk)
        self._readable.set()

    async def take(self) -> bytes:
        """Wait for chunks and return all of them joined. Empty bytes mean the end."""
        await self._readable.wait()
        chunks = b"".join(self._chunks)
        self._chunks.clear()
        if not self._ended:
            self._readable.clear()
        self._writable.set()
        return chunks

    def release(self) -> None:
        self._bounded = False
        self._writable.set()

    def end(self) -> None:
        self._ended = True
        self._readable.set()


class Turns:
    """The turns that are running in this process."""

    def __init__(self) -> None:
        self._running: set[Turn] = set()
        self._hurried = asyncio.Event()
        self.draining = False

    def start(
        self,
        server: RequestServer,
        store: TurnStore,
        events: AsyncIterator[ThreadStreamEvent],
        encoder: Encoder,
    ) -> Turn:
        turn = Turn(server, store, events, encoder)
        self._running.add(turn)
        turn.on_end(lambda: self._running.discard(turn))
        return turn

    def refuse_if_draining(self) -> None:
        """Raise `Unavailable` while the server shuts down."""
        if self.draining:
            raise Unavailable(_("The server is restarting. Try again in a few seconds."))

    async def drain(self, grace_seconds: float) -> None:
        """Accept no more turns, wait for the running ones, then interrupt and save the rest."""
        self.draining = True
        running = list(self._running)
        if running:
            log.info("waiting for running turns", turns=len(running), seconds=grace_seconds)
        waits = [asyncio.create_task(each) for each in (_ended(running), self._hurried.wait())]
        await asyncio.wait(waits, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        farewell = ErrorEvent(code="custom", message=RESTARTING, allow_retry=True)
        await asyncio.gather(*(turn.stop(farewell) for turn in list(self._running)))

    def hurry(self) -> None:
        """End the grace time of `drain` now, and half a second later what the turns still do."""
        self._hurried.set()
        for turn in self._running:
            asyncio.get_running_loop().call_later(HURRY_SECONDS, turn.cut)


async def _ended(turns: Sequence[Turn]) -> None:
    await asyncio.gather(*(turn.done() for turn in turns))
