"""The rendered project with its SQL taken out: `python without_store.py serve --port N`.

Turns, users, HTTP and the model are the project's own; threads and items go to the peer's dicts.
What differs from the project as it is, is the store's cost.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from chatkit.types import ThreadItem, ThreadMetadata
from memory_store import MemoryStore

from chatkit_engine import application
from chatkit_engine.cli import main
from chatkit_engine.run.turn_store import PAGE, Opening, TurnStore, Window
from chatkit_engine.store.leases import Outcome
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.usage import Usage
from chatkit_engine.turns import service
from chatkit_engine.turns.service import ChatService

MEMORY = MemoryStore()


class MemoryTurnStore(TurnStore):
    """The turn's store with dicts in the place of its transactions, and without a lease."""

    async def begin(self, process_lock: ProcessLock, opening: Opening) -> None:
        thread_id = self.lease.thread_id
        if opening.opens_thread:
            thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
            await MEMORY.save_thread(thread, None)
        self._thread = await MEMORY.load_thread(thread_id, None)
        if opening.message is not None:
            await MEMORY.save_item(thread_id, opening.message, None)
        page = await MEMORY.load_thread_items(thread_id, None, PAGE, "desc", None)
        items = {item.id: item for item in reversed(page.data)}
        self._recent = self._past = Window(items, 0 if page.has_more else None)

    async def checkpoint(self, unfinished: Iterable[ThreadItem] = ()) -> None:
        staged = dict(self._staged)
        await self._keep([*staged.values(), *unfinished])
        self._mark_committed(staged)

    async def close(
        self, outcome: Outcome, unfinished: Iterable[ThreadItem], used: Usage | None
    ) -> None:
        await self._keep([*self._staged.values(), *unfinished])

    async def _keep(self, items: Iterable[ThreadItem]) -> None:
        for item in items:
            await MEMORY.save_item(self.lease.thread_id, item, None)


class MemoryChatService(ChatService):
    """Answers from the dicts."""

    store: MemoryStore

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.store = MEMORY


if __name__ == "__main__":
    service.TurnStore = MemoryTurnStore
    application.ChatService = MemoryChatService
    main()
