"""The chat as the rest of the application sees it: answer a request, or start a turn."""

from datetime import UTC, datetime

from chatkit.types import (
    ChatKitReq,
    NonStreamingReq,
    StreamingReq,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
)

from app.chat import preflight
from app.chat.server import Assistant, AssistantServer
from app.chat.turn_store import TurnStore, cut_off_marker
from app.chat.turns import Encoder, Turn, Turns
from app.context import RequestContext
from app.store import maintenance, sql
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
        """Admit the request and start its turn.

        Raises:
            NotFoundError, AppError: the request is refused, and nothing was stored.
        """
        self.turns.refuse_if_draining()
        store = await self._admit(request, context)
        server = AssistantServer(self._assistant, store)
        return self.turns.start(server, store, server.stream(request, context), encoder or server)

    async def _admit(self, request: StreamingReq, context: RequestContext) -> TurnStore:
        if _needs_lookups(request):
            await preflight.check(request, self.store, context)
        user_id = context.user.id
        async with self._database.write() as connection:
            if isinstance(request, ThreadsCreateReq):
                thread = ThreadMetadata(id=new_id("thr"), created_at=datetime.now(UTC))
                await sql.save_thread(connection, thread, user_id)
            else:
                thread = await sql.load_thread(connection, request.params.thread_id, user_id)
                preflight.check_open(thread)
            lease = Lease(thread.id, user_id)
            died = await maintenance.acquire(
                connection, lease, self._presence.holder, self._presence.is_dead
            )
            if died:
                marker = cut_off_marker(thread.id)
                await sql.save_items(connection, thread.id, [marker], user_id)
        return TurnStore(self._database, lease, thread)


def _needs_lookups(request: ChatKitReq) -> bool:
    """A plain message names its thread alone, which is looked up where the turn begins."""
    if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
        return bool(request.params.input.attachments)
    return True
