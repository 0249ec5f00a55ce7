"""The chat service: answers a ChatKit request, or starts a turn for it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from chatkit.types import (
    AttachmentsDeleteReq,
    ChatKitReq,
    InputTranscribeReq,
    NonStreamingReq,
    StreamingReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsDeleteReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
)

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import Conflict, KeyReused, RequestRunning, Unavailable
from chatkit_engine.run.runtime import Runtime
from chatkit_engine.run.server import RequestServer
from chatkit_engine.run.turn_store import Opening, TurnStore
from chatkit_engine.store import idempotency, threads, usage
from chatkit_engine.store.blob_cleanup import delete_dead_blobs
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.database import Database
from chatkit_engine.store.idempotency import EarlierTurn
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.leases import Lease, RequestKey
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.usage import Usage
from chatkit_engine.turns import preflight
from chatkit_engine.turns.admission import Admission
from chatkit_engine.turns.limits import check_limits
from chatkit_engine.turns.turn import Encoder, Turn, Turns


class Replay:
    """A completed turn that is sent again from the store. It has the interface of `Turn`."""

    replayed = True

    def __init__(
        self, events: Sequence[ThreadStreamEvent], encoder: Encoder, used: Usage | None
    ) -> None:
        self._chunks = [*map(encoder.encode, events), encoder.end("completed", used)]

    async def chunks(self, heartbeat_seconds: float) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if chunk:
                yield chunk

    async def wait(self) -> None:
        """Return at once: the turn has ended."""

    async def stop(self) -> None:
        """Do nothing: the turn has ended."""


class ChatService:
    """Handles ChatKit requests with one database and one runtime."""

    def __init__(
        self,
        database: Database,
        process_lock: ProcessLock,
        runtime: Runtime,
        blobs: Blobs,
        admission: Admission,
    ) -> None:
        self.store = SqlStore(database)
        self.turns = Turns()
        self._database = database
        self._process_lock = process_lock
        self._runtime = runtime
        self._blobs = blobs
        self._admission = admission

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON response to a request that needs no turn.

        Raises:
            NotFoundError, AppError: the request is refused.
        """
        check_limits(request)
        await preflight.check(request, self.store, context, self._runtime)
        response = await self._answer(request, context)
        if isinstance(request, ThreadsDeleteReq | AttachmentsDeleteReq):
            # Delete the files now. If the file storage does not answer, the sweeper will do it.
            with suppress(Unavailable):
                await delete_dead_blobs(self._database, self._blobs)
        return response

    async def _answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        server = RequestServer(self._runtime, self.store, context)
        if not isinstance(request, InputTranscribeReq):
            return await server.answer(request, context)
        # A model works on it, as on a turn.
        release = await self._admission.enter(context.user.id)
        try:
            return await server.answer(request, context)
        finally:
            release()

    async def start(
        self,
        request: StreamingReq,
        context: RequestContext,
        encoder: Encoder | None = None,
        key: RequestKey | None = None,
    ) -> Turn | Replay:
        """Check the request, store its message, and start its turn.

        A request that was sent before with the same idempotency key does not run twice: a completed
        turn is replayed, and the message of an interrupted turn is answered again.

        Raises:
            NotFoundError, AppError: the request is refused, and nothing was stored.
        """
        self.turns.refuse_if_draining()
        check_limits(request)
        earlier = await self._find_earlier(context, key) if key else None
        if earlier is not None and earlier.state == "completed":
            return await self._replay(request, earlier, context, encoder)
        release = await self._admission.enter(context.user.id)
        try:
            turn = await self._start(request, context, encoder, key, earlier)
        except BaseException:
            release()
            raise
        turn.on_end(release)
        return turn

    async def _find_earlier(self, context: RequestContext, key: RequestKey) -> EarlierTurn | None:
        user_id = context.user.id
        earlier = await self._database.read(
            idempotency.find, user_id, key.value, self._process_lock
        )
        if earlier is not None and earlier.fingerprint != key.fingerprint:
            raise KeyReused
        if earlier is not None and earlier.state == "running":
            raise RequestRunning
        return earlier

    async def _start(
        self,
        request: StreamingReq,
        context: RequestContext,
        encoder: Encoder | None,
        key: RequestKey | None,
        earlier: EarlierTurn | None,
    ) -> Turn:
        if earlier and earlier.message_id:
            return await self._answer_again(request, earlier, context, encoder, key)
        if _needs_preflight(request):
            try:
                await preflight.check(request, self.store, context, self._runtime)
            except Conflict:
                # The interrupted turn has stored the input already: an answered form, for example.
                if earlier is None:
                    raise
                return await self._answer_again(request, earlier, context, encoder, key)
        opens_thread = isinstance(request, ThreadsCreateReq)
        thread_id = new_id("thr") if opens_thread else request.params.thread_id
        store, server = self._create_server(thread_id, context, key)
        message = await server.prepare(request, thread_id, context)
        is_retry = isinstance(request, ThreadsRetryAfterItemReq)
        retried_id = request.params.item_id if is_retry else None
        opening = Opening(
            message,
            opens_thread,
            retried_id=retried_id,
            earlier=earlier,
            image_domains=self._runtime.image_domains,
            max_storage=self._runtime.max_user_storage_bytes,
        )
        await store.begin(self._process_lock, opening)
        return self.turns.start(server, store, server.stream(request, context), encoder or server)

    async def _answer_again(
        self,
        request: StreamingReq,
        earlier: EarlierTurn,
        context: RequestContext,
        encoder: Encoder | None,
        key: RequestKey | None,
    ) -> Turn:
        """Answer the stored message of an interrupted turn again, and replace its items."""
        store, server = self._create_server(earlier.thread_id, context, key)
        max_storage = self._runtime.max_user_storage_bytes
        opening = Opening(earlier=earlier, max_storage=max_storage)
        await store.begin(self._process_lock, opening)
        opens_thread = isinstance(request, ThreadsCreateReq)
        events = server.stream_again(earlier.message_id, context, opens_thread=opens_thread)
        return self.turns.start(server, store, events, encoder or server)

    async def _replay(
        self,
        request: StreamingReq,
        earlier: EarlierTurn,
        context: RequestContext,
        encoder: Encoder | None,
    ) -> Replay:
        server = RequestServer(self._runtime, self.store, context)
        thread = await self.store.load_thread(earlier.thread_id, context)
        items = await self._database.read(
            threads.load_items_between,
            earlier.thread_id,
            earlier.after_seq,
            earlier.until_seq,
            context.user.id,
        )
        # A retried message is older than the items of its turn.
        if earlier.message_id and earlier.message_id not in {item.id for item in items}:
            message = await self.store.load_item(thread.id, earlier.message_id, context)
            items = [message, *items]
        opens_thread = isinstance(request, ThreadsCreateReq)
        stored = server.stored_events(thread, items, opens_thread=opens_thread)
        events = [server.outgoing(event) for event in stored]
        used = await self._database.read(
            usage.for_turn, context.user.id, thread.id, earlier.turn_id
        )
        return Replay(events, encoder or server, used)

    def _create_server(
        self, thread_id: str, context: RequestContext, key: RequestKey | None
    ) -> tuple[TurnStore, RequestServer]:
        store = TurnStore(self._database, Lease(thread_id, context.user.id, key))
        return store, RequestServer(self._runtime, store, context)


def _needs_preflight(request: ChatKitReq) -> bool:
    """Return False for a plain message: the turn's first transaction checks its thread."""
    if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
        return bool(request.params.input.attachments)
    return True
