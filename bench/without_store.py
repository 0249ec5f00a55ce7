"""The rendered project with its SQL taken out: `python without_store.py serve --port N`.

Turns, users, HTTP and the model are the project's own; threads and items go to the peer's dicts.
What differs from the project as it is, is the store's cost.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from app import composition
from app.chat.preflight import check_open
from app.chat.server import Assistant
from app.chat.service import ChatService
from app.chat.turn_store import HISTORY_ITEMS, TurnStore
from app.cli import main
from app.context import RequestContext
from app.store.engine import Database
from app.store.ids import new_id
from app.store.maintenance import Lease, Outcome
from app.store.presence import Presence
from chatkit.types import (
    StreamingReq,
    ThreadItem,
    ThreadMetadata,
    ThreadsCreateReq,
    UserMessageItem,
)
from memory_store import MemoryStore


class MemoryTurnStore(TurnStore):
    """The turn's store with dicts in the place of its three transactions."""

    def __init__(
        self, memory: MemoryStore, database: Database, lease: Lease, thread: ThreadMetadata
    ) -> None:
        super().__init__(database, lease, thread)
        self._memory = memory

    async def history(self) -> list[ThreadItem]:
        if self._recent is None:
            thread_id = self.lease.thread_id
            page = await self._memory.load_thread_items(
                thread_id, None, HISTORY_ITEMS, "desc", None
            )
            self._recent = {item.id: item for item in reversed(page.data)}
            self._reaches_start = not page.has_more
        return await super().history()

    async def checkpoint(self, unfinished: Iterable[ThreadItem] = ()) -> None:
        staged = dict(self._staged)
        await self._keep([*staged.values(), *unfinished])
        self._settle(staged)

    async def close(
        self, outcome: Outcome, unfinished: Iterable[ThreadItem], usage: str | None
    ) -> None:
        await self._keep([*self._staged.values(), *unfinished])

    async def _store_input(self, item: UserMessageItem) -> None:
        await self._keep([item])

    async def _keep(self, items: Iterable[ThreadItem]) -> None:
        for item in items:
            await self._memory.save_item(self.lease.thread_id, item, None)


class MemoryChatService(ChatService):
    """Admits a turn without a lease: the load never asks twice at once in a thread."""

    store: MemoryStore

    def __init__(self, database: Database, presence: Presence, assistant: Assistant) -> None:
        super().__init__(database, presence, assistant)
        self.store = MemoryStore()

    async def _admit(self, request: StreamingReq, context: RequestContext) -> TurnStore:
        if isinstance(request, ThreadsCreateReq):
            thread = ThreadMetadata(id=new_id("thr"), created_at=datetime.now(UTC))
            await self.store.save_thread(thread, context)
        else:
            thread = await self.store.load_thread(request.params.thread_id, context)
            check_open(thread)
        lease = Lease(thread.id, context.user.id)
        return MemoryTurnStore(self.store, self._database, lease, thread)


if __name__ == "__main__":
    composition.ChatService = MemoryChatService
    main()
