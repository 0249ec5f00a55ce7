"""The chat as the rest of the application sees it: answer a request, or start a turn."""

from chatkit.types import (
    ChatKitReq,
    NonStreamingReq,
    StreamingReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
)

from app.chat import preflight
from app.chat.server import Assistant, AssistantServer
from app.chat.turn_store import TurnStore
from app.chat.turns import Encoder, Turn, Turns
from app.context import RequestContext
from app.store.engine import Database
from app.store.ids import new_id
from app.store.maintenance import Lease
from app.store.presence import Presence
from app.store.sql import SqlStore


class ChatService:
    """Runs ChatKit requests against one database with one assistant."""

    def __init__(self, database: Database, presence: Presence, assistant: Assistant) -> None:
        self.store = SqlStore(database)
        self.turns = Turns()
        self._database = database
        self._presence = presence
        self._assistant = assistant

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON answer to a request that needs no turn."""
        await preflight.check(request, self.store, context)
        return await AssistantServer(self._assistant, self.store).answer(request, context)

    async def start(
        self, request: StreamingReq, context: RequestContext, encoder: Encoder | None = None
    ) -> Turn:
        """Admit the request, store its message, and start its turn.

        Raises:
            NotFoundError, AppError: the request is refused, and nothing was stored.
        """
        self.turns.refuse_if_draining()
        if _needs_lookups(request):
            await preflight.check(request, self.store, context)
        is_new = isinstance(request, ThreadsCreateReq)
        thread_id = new_id("thr") if is_new else request.params.thread_id
        store = TurnStore(self._database, Lease(thread_id, context.user.id))
        server = AssistantServer(self._assistant, store)
        message = await server.prepare(request, thread_id, context)
        retried = request.params.item_id if isinstance(request, ThreadsRetryAfterItemReq) else None
        await store.begin(self._presence, message, is_new=is_new, retried=retried)
        events = server.stream(request, context)
        return self.turns.start(server, store, events, encoder or server)


def _needs_lookups(request: ChatKitReq) -> bool:
    """A plain message names its thread alone, which is looked up where the turn begins."""
    if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
        return bool(request.params.input.attachments)
    return True
