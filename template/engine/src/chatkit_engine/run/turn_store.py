"""The store of one turn, which stages what the turn writes.

The user's message is committed together with the turn's lease, before the client gets a response:
a request that got a 200 is never lost. The assistant's items are staged, and committed at
checkpoints and at the end, so a plain turn takes two transactions.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatkit.store import NotFoundError
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    Page,
    StructuredInputItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    WorkflowItem,
)
from pydantic_core import to_json
from sqlalchemy import Connection

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import Conflict
from chatkit_engine.i18n import _
from chatkit_engine.run.interruption import mark_calls_unknown, mark_interrupted
from chatkit_engine.run.thread_metadata import MERGED, changed_fields, check_open, merge
from chatkit_engine.store import (
    chatkit_store,
    generated_images,
    idempotency,
    leases,
    storage,
    threads,
    usage,
)
from chatkit_engine.store.attachments import claim_attachments
from chatkit_engine.store.database import Database
from chatkit_engine.store.idempotency import EarlierTurn
from chatkit_engine.store.items import (
    CallStatus,
    Record,
    StoredItem,
    ToolCall,
    encode_item,
    is_record,
)
from chatkit_engine.store.leases import Lease, LeaseLost, Outcome
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.usage import Usage

PAGE = 50
# For a thread whose items the model never reads, such as blocked messages.
MAX_HISTORY_PAGES = 100
# Of a turn that goes on without a message, such as one widget action after the other.
MAX_TURN_BYTES = 8 * 1024 * 1024
ALREADY_DECIDED = _("This was decided already.")


@dataclass(frozen=True)
class Opening:
    """What a turn begins with: a new message, or a stored one that is answered again.

    `retried_id` is the message of a retry (`threads.retry_after_item`). `earlier` is an interrupted
    turn whose request was sent again with the same idempotency key. `max_storage` is the number of
    bytes that the user may store in all.
    """

    message: UserMessageItem | None = None
    opens_thread: bool = False
    retried_id: str | None = None
    earlier: EarlierTurn | None = None
    image_domains: list[str] | None = None
    max_storage: int | None = None

    @property
    def message_id(self) -> str | None:
        if self.message is not None:
            return self.message.id
        return self.retried_id or (self.earlier and self.earlier.message_id)

    @property
    def message_size(self) -> int:
        return len(encode_item(self.message).encode()) if self.message is not None else 0


@dataclass
class Window:
    """The newest of a thread's items, oldest first. Older ones come before the place `older`."""

    items: dict[str, StoredItem] = field(default_factory=dict[str, StoredItem])
    older: int | None = None


class TurnStore(chatkit_store.SqlStore):
    """A `SqlStore` for one turn in one thread, which writes only while it holds the lease.

    Items that the turn will replace (`_replaced`) are hidden from it but stay stored until the new
    answer is complete, so an interrupted retry does not lose the old answer.
    """

    _thread: ThreadMetadata

    def __init__(self, database: Database, lease: Lease) -> None:
        super().__init__(database)
        self.lease = lease
        self._recent = Window()
        self._past = Window()
        self._staged: dict[str, StoredItem] = {}
        self._removed: set[str] = set()
        self._replaced: set[str] = set()
        self._answers_message = False

    async def begin(self, process_lock: ProcessLock, opening: Opening) -> None:
        """Acquire the lease and store the message in one transaction.

        Raises:
            NotFoundError: the thread or an attachment does not exist or is not the user's.
            StorageFull: the user has stored too much.
            Conflict: the thread is locked, closed or busy, or an attachment is another thread's.
        """
        await self.database.write(self._begin, process_lock, opening)

    def _begin(self, connection: Connection, process_lock: ProcessLock, opening: Opening) -> None:
        thread_id, user_id, key = self.lease.thread_id, self.lease.user_id, self.lease.key
        if opening.max_storage is not None:
            storage.check_room(connection, user_id, opening.message_size, opening.max_storage)
        self._thread = self._open_thread(connection, opening)
        if key is not None:
            turn_id = opening.earlier.turn_id if opening.earlier else None
            idempotency.release(connection, user_id, key.value, turn_id)
        if not opening.opens_thread and leases.close_dead(connection, thread_id, process_lock):
            generated_images.delete_unshown(connection, thread_id, user_id)
            mark_calls_unknown(connection, thread_id, user_id)
            # A repeated request replaces the interrupted answer, so there is nothing to mark.
            if opening.earlier is None:
                mark_interrupted(connection, thread_id, user_id)
        leases.acquire(connection, self.lease, process_lock, opening.message_id)
        self._answers_message = opening.message_id is not None
        if opening.message is not None:
            message = opening.message
            claim_attachments(connection, message.attachments, thread_id, user_id)
            threads.save_items(connection, thread_id, [message], user_id)
        self._recent = self._past = self._load(connection, None)
        if opening.message is None:
            self._prepare_replacement(connection, opening)

    def _open_thread(self, connection: Connection, opening: Opening) -> ThreadMetadata:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        if not opening.opens_thread:
            thread = threads.load_thread(connection, thread_id, user_id)
            check_open(thread)
            return thread
        thread = ThreadMetadata(
            id=thread_id,
            created_at=datetime.now(UTC),
            allowed_image_domains=opening.image_domains,
        )
        threads.save_thread(connection, thread, user_id)
        return thread

    def _prepare_replacement(self, connection: Connection, opening: Opening) -> None:
        """End the history at the stored message, and find the items that the answer replaces."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        if opening.earlier:
            self._replaced = self._items_of(connection, opening.earlier)
        if opening.message_id:
            place = threads.item_position(connection, thread_id, opening.message_id, user_id)
            self._past = self._load(connection, place + 1)
            if opening.retried_id:
                self._replaced = self._items_after(connection, place)
            elif opening.earlier:
                until = opening.earlier.after_seq
                self._replaced |= self._items_after(connection, place, until)

    def generate_thread_id(self, context: RequestContext) -> str:
        return self.lease.thread_id

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        # A copy, because the SDK changes the thread and compares it with the previous state.
        return self._thread.model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store what this turn changed, and update `thread` with the changes of other requests.

        Raises:
            LeaseLost: the thread was deleted in the meantime.
        """
        if not changed_fields(self._thread, thread):
            return
        try:
            self._thread = await self.database.write(self._merge, thread)
        except NotFoundError:
            raise LeaseLost(self.lease.turn_id) from None
        for name in MERGED:
            setattr(thread, name, getattr(self._thread.model_copy(deep=True), name))

    def _merge(self, connection: Connection, ours: ThreadMetadata) -> ThreadMetadata:
        theirs = threads.lock_thread(connection, ours.id, self.lease.user_id)
        thread = merge(self._thread, ours, theirs)
        threads.save_thread(connection, thread, self.lease.user_id)
        return thread

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Do nothing: the attachments were claimed together with the message."""

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        # Stored together with the lease.
        if isinstance(item, UserMessageItem) and item.id in self._recent.items:
            return
        self._stage(item)
        # The client answers these items in a request of its own, which may come at once.
        if isinstance(item, UserMessageItem | ClientToolCallItem | StructuredInputItem):
            await self.checkpoint()

    def add_record(self, record: Record) -> None:
        """Stage a record that only the model reads, at the thread's current end."""
        self._stage(record)

    async def decide_call(self, call: ToolCall, status: CallStatus) -> ToolCall:
        """Commit the decision about a pending call, and move the call to the end of the thread.

        Raises:
            Conflict: it was decided before.
            LeaseLost: the turn was ended from outside.
        """
        decided = call.model_copy(update={"status": status})
        await self.database.write(self._decide_call, decided)
        for window in (self._recent, self._past):
            window.items.pop(decided.id, None)
        self._mark_committed({decided.id: decided})
        return decided

    def _decide_call(self, connection: Connection, decided: ToolCall) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        leases.renew(connection, self.lease)
        stored = threads.load_stored_item(connection, thread_id, decided.id, user_id)
        if not isinstance(stored, ToolCall) or stored.status != "waiting":
            raise Conflict(ALREADY_DECIDED)
        threads.delete_items(connection, thread_id, [decided.id], user_id)
        threads.save_items(connection, thread_id, [decided], user_id)

    def _stage(self, item: StoredItem) -> None:
        self._removed.discard(item.id)
        self._replaced.discard(item.id)
        self._staged[item.id] = item

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        if item_id in self._removed:
            raise NotFoundError(item_id)
        staged = self._staged.get(item_id)
        if staged is not None and not is_record(staged):
            return staged
        return await super().load_item(thread_id, item_id, context)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Stage the removal. Items that a retry replaces stay until the new answer is complete."""
        self._staged.pop(item_id, None)
        if item_id not in self._replaced:
            self._removed.add(item_id)

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
    ) -> Page[ThreadItem]:
        if after is None and order == "desc":
            items = self._with_staged(self._recent)
            newest = [item for item in reversed(items) if not is_record(item)]
            if len(newest) > limit or self._recent.older is None:
                more = len(newest) > limit
                data = [_in_local_time(item) for item in newest[:limit]]
                return Page(data=data, has_more=more, after=data[-1].id if more else None)
        return await super().load_thread_items(thread_id, after, limit, order, context)

    async def history(self) -> AsyncIterator[StoredItem]:
        """Yield what the turn answers to, newest first, including its own staged items.

        It ends after 100 pages, each of at most 50 items and some 2 MiB, and after 8 MiB without a
        user's message.
        """
        for item in reversed(self._with_staged(self._past)):
            yield item
        older = self._past.older
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        size = 0
        for _page in range(MAX_HISTORY_PAGES):
            if older is None or size > MAX_TURN_BYTES:
                return
            past = await self.database.read(
                threads.load_history_page, thread_id, older, PAGE, user_id
            )
            for item in reversed(past.items):
                yield item
            has_message = any(isinstance(item, UserMessageItem) for item in past.items)
            size = 0 if has_message else size + past.size
            older = past.older

    def _with_staged(self, window: Window) -> list[StoredItem]:
        items = {**window.items, **self._staged}
        hidden = self._removed | self._replaced
        return [item for item in items.values() if item.id not in hidden]

    async def checkpoint(self, unfinished: Iterable[ThreadItem] = ()) -> None:
        """Renew the lease, and commit the staged items together with the unfinished ones.

        If an old answer is being replaced, only the lease is renewed.
        """
        staged = {} if self._replaced else dict(self._staged)
        await self.database.write(self._checkpoint, [*staged.values(), *unfinished])
        self._mark_committed(staged)

    async def close(
        self, outcome: Outcome, unfinished: Iterable[ThreadItem], used: Usage | None
    ) -> None:
        """End the turn, and commit its items and its token usage."""
        items = [*self._staged.values(), *unfinished]
        await self.database.write(self._close, outcome, used, items)

    async def abandon(self, used: Usage | None) -> None:
        """End the turn without its staged items, because storing them failed."""
        self._staged = {}
        await self.database.write(self._close, "failed", used, ())

    def _checkpoint(self, connection: Connection, items: Sequence[StoredItem]) -> None:
        leases.renew(connection, self.lease)
        if not self._replaced:
            self._save(connection, items)

    def _close(
        self,
        connection: Connection,
        outcome: Outcome,
        used: Usage | None,
        items: Sequence[StoredItem],
    ) -> None:
        lease, tokens = self.lease, to_json(used).decode() if used else None
        # The end is stored already: a commit whose confirmation was lost.
        if not leases.close(connection, lease, outcome, tokens):
            return
        thread_id, user_id = lease.thread_id, lease.user_id
        if used:
            usage.record(connection, user_id, thread_id, lease.turn_id, "turn", used)
        if outcome != "completed":
            mark_calls_unknown(connection, thread_id, user_id)
        if not self._replaced or (outcome == "completed" and items):
            threads.delete_items(connection, thread_id, list(self._replaced), user_id)
            self._save(connection, items)
            if outcome != "completed" and (items or self._answers_message):
                mark_interrupted(connection, thread_id, user_id)
        if outcome != "completed":
            generated_images.delete_unshown(connection, thread_id, user_id)

    def _save(self, connection: Connection, items: Sequence[StoredItem]) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        threads.delete_items(connection, thread_id, list(self._removed), user_id)
        threads.save_items(connection, thread_id, items, user_id)

    def _items_of(self, connection: Connection, turn: EarlierTurn) -> set[str]:
        """Return the ids of the items that a turn wrote, without the message that it answered."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        turn = idempotency.reload(connection, turn)
        items = threads.load_calls_between(
            connection, thread_id, turn.after_seq, turn.until_seq, user_id
        )
        return _replaceable(items) - {turn.message_id}

    def _items_after(
        self, connection: Connection, place: int, until: int | None = None
    ) -> set[str]:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        return _replaceable(
            threads.load_calls_between(connection, thread_id, place, until, user_id)
        )

    def _load(self, connection: Connection, before: int | None) -> Window:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        past = threads.load_history_page(connection, thread_id, before, PAGE, user_id)
        return Window({item.id: item for item in past.items}, past.older)

    def _mark_committed(self, committed: dict[str, StoredItem]) -> None:
        self._recent.items.update(committed)
        self._past.items.update(committed)
        for item_id, item in committed.items():
            # It may have been staged again, with changes, while the commit was running.
            if self._staged.get(item_id) is item:
                del self._staged[item_id]


def _replaceable(items: Mapping[str, ToolCall | None]) -> set[str]:
    """Return the items' ids, without calls that older widgets show: they may have been run."""
    calls = [call for call in items.values() if call is not None and call.widget_id]
    return set(items) - {call.id for call in calls if call.widget_id not in items}


def _in_local_time(item: ThreadItem) -> ThreadItem:
    """Return a workflow with a naive local time, because the SDK subtracts it from such a time."""
    if not isinstance(item, WorkflowItem):
        return item
    local = item.created_at.astimezone().replace(tzinfo=None)
    return item.model_copy(update={"created_at": local})
