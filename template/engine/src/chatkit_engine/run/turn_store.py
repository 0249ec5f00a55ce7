"""The store as one turn sees it.

The user's message is committed with the turn's lease, before the client hears of either. What the
assistant writes is staged, and committed at a checkpoint and at the end. A plain turn takes two
transactions.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    ClosedStatus,
    LockedStatus,
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
from chatkit_engine.store import (
    chatkit_store,
    generated_images,
    idempotency,
    leases,
    threads,
    usage,
)
from chatkit_engine.store.attachments import claim_attachments
from chatkit_engine.store.database import Database
from chatkit_engine.store.idempotency import EarlierTurn
from chatkit_engine.store.items import CallStatus, Record, StoredItem, ToolCall, is_record
from chatkit_engine.store.leases import Lease, LeaseLost, Outcome
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.store.usage import Usage

PAGE = 50
DECIDED = _("This was decided already.")
MERGED = tuple(name for name in ThreadMetadata.model_fields if name not in ("id", "created_at"))


@dataclass(frozen=True)
class Opening:
    """What a turn begins with: a message, or something stored that is answered again."""

    message: UserMessageItem | None = None
    opens_thread: bool = False
    retried: str | None = None
    again: EarlierTurn | None = None
    image_domains: list[str] | None = None

    @property
    def message_id(self) -> str | None:
        if self.message is not None:
            return self.message.id
        return self.retried or (self.again and self.again.message_id)


@dataclass
class Window:
    """The newest of a thread's items, oldest first; older ones stand before a place."""

    items: dict[str, StoredItem] = field(default_factory=dict[str, StoredItem])
    older: int | None = None


class TurnStore(chatkit_store.SqlStore):
    """A `SqlStore` for one turn on one thread, which writes only while the lease is held."""

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
        """Take the lease, and store the message with it; if either cannot be, store nothing.

        Raises:
            NotFoundError: the thread or an attachment does not exist, or is not the user's.
            Conflict: the thread is locked, closed or busy, or an attachment is another thread's.
        """
        await self.database.write(self._begin, process_lock, opening)

    def _begin(self, connection: Connection, process_lock: ProcessLock, opening: Opening) -> None:
        thread_id, user_id, key = self.lease.thread_id, self.lease.user_id, self.lease.key
        if opening.opens_thread:
            self._thread = ThreadMetadata(
                id=thread_id,
                created_at=datetime.now(UTC),
                allowed_image_domains=opening.image_domains,
            )
            threads.save_thread(connection, self._thread, user_id)
        else:
            self._thread = threads.load_thread(connection, thread_id, user_id)
            check_open(self._thread)
        again = opening.again
        if key is not None:
            idempotency.release(connection, user_id, key.value, again.turn_id if again else None)
        found_dead = not opening.opens_thread and leases.close_dead(
            connection, thread_id, process_lock
        )
        if found_dead:
            generated_images.delete_unshown(connection, thread_id, user_id)
            mark_calls_unknown(connection, thread_id, user_id)
        if found_dead and again is None:
            mark_interrupted(connection, thread_id, user_id)
        leases.acquire(connection, self.lease, process_lock, opening.message_id)
        self._answers_message = opening.message_id is not None
        if opening.message is not None:
            message = opening.message
            claim_attachments(connection, message.attachments, thread_id, user_id)
            threads.save_items(connection, thread_id, [message], user_id)
        self._recent = self._past = self._load(connection, None)
        if opening.message is None:
            self._look_back(connection, opening)

    def _look_back(self, connection: Connection, opening: Opening) -> None:
        """Stand behind the stored message that is answered, and see what the answer replaces."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        if opening.again:
            self._replaced = self._items_of(connection, opening.again)
        if opening.message_id:
            place = threads.item_position(connection, thread_id, opening.message_id, user_id)
            self._past = self._load(connection, place + 1)
            if opening.retried:
                self._replaced = self._items_after(connection, place)
            elif opening.again:
                until = opening.again.after_seq
                self._replaced |= self._items_after(connection, place, until)

    def generate_thread_id(self, context: RequestContext) -> str:
        return self.lease.thread_id

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        return self._thread.model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Write what this turn changed; what somebody else has changed meanwhile stays theirs.

        The thread that was given is brought up to date.

        Raises:
            LeaseLost: the thread was deleted meanwhile.
        """
        if not _changes(self._thread, thread):
            return
        try:
            self._thread = await self.database.write(self._merge, thread)
        except NotFoundError:
            raise LeaseLost(self.lease.turn_id) from None
        for name in MERGED:
            setattr(thread, name, getattr(self._thread.model_copy(deep=True), name))

    def _merge(self, connection: Connection, ours: ThreadMetadata) -> ThreadMetadata:
        theirs = threads.lock_thread(connection, ours.id, self.lease.user_id)
        changes = _changes(self._thread, ours)
        foreign = _changes(self._thread, theirs)
        merged = {name: changes[name] for name in changes.keys() - foreign.keys()}
        if "metadata" in changes:
            dropped = self._thread.metadata.keys() - ours.metadata.keys()
            kept = {key: value for key, value in theirs.metadata.items() if key not in dropped}
            merged["metadata"] = kept | changes["metadata"] | foreign.get("metadata", {})
        thread = theirs.model_copy(update=merged)
        threads.save_thread(connection, thread, self.lease.user_id)
        return thread

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """The thread took its attachments together with the message."""

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        if isinstance(item, UserMessageItem) and item.id in self._recent.items:
            return
        self._stage(item)
        if isinstance(item, UserMessageItem | ClientToolCallItem | StructuredInputItem):
            await self.checkpoint()

    def add_record(self, record: Record) -> None:
        """Stage what the model is to remember, where the thread stands now."""
        self._stage(record)

    async def advance(self, call: ToolCall, status: CallStatus) -> ToolCall:
        """Compare and set: take a call that waits to what was decided, where the thread ends now.

        Raises:
            Conflict: it waits no more.
            LeaseLost: the turn was ended from outside.
        """
        decided = call.model_copy(update={"status": status})
        await self.database.write(self._advance, decided)
        for window in (self._recent, self._past):
            window.items.pop(decided.id, None)
        self._settle({decided.id: decided})
        return decided

    def _advance(self, connection: Connection, decided: ToolCall) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        leases.renew(connection, self.lease)
        stored = threads.load_stored_item(connection, thread_id, decided.id, user_id)
        if not isinstance(stored, ToolCall) or stored.status != "waiting":
            raise Conflict(DECIDED)
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
        """Stage the removal. What a retry replaces stays until the new answer is whole."""
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
            newest = [item for item in self._known(self._recent) if not is_record(item)][::-1]
            if len(newest) > limit or self._recent.older is None:
                more = len(newest) > limit
                data = newest[:limit]
                data = [_in_sdk_time(item) for item in data]
                return Page(data=data, has_more=more, after=data[-1].id if more else None)
        return await super().load_thread_items(thread_id, after, limit, order, context)

    async def history(self) -> AsyncIterator[StoredItem]:
        """Yield what the turn answers to, newest first, with what it has staged itself."""
        for item in reversed(self._known(self._past)):
            yield item
        older = self._past.older
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        while older is not None:
            past = await self.database.read(
                threads.load_history_page, thread_id, older, PAGE, user_id
            )
            for item in reversed(past.items):
                yield item
            older = past.older

    def _known(self, stored: Window) -> list[StoredItem]:
        known = {**stored.items, **self._staged}
        gone = self._removed | self._replaced
        return [item for item in known.values() if item.id not in gone]

    async def checkpoint(self, unfinished: Iterable[ThreadItem] = ()) -> None:
        """Renew the lease, and commit what is staged together with the unfinished items.

        Where an old answer is replaced nothing is committed: it stays until the new one is whole.
        """
        staged = {} if self._replaced else dict(self._staged)
        await self.database.write(self._checkpoint, [*staged.values(), *unfinished])
        self._settle(staged)

    async def close(
        self, outcome: Outcome, unfinished: Iterable[ThreadItem], used: Usage | None
    ) -> None:
        """End the turn, and commit all that it has, with what the model has used."""
        answer = [*self._staged.values(), *unfinished]
        await self.database.write(self._close, outcome, used, answer)

    async def abandon(self, used: Usage | None) -> None:
        """End the turn without what it has staged, which could not be stored."""
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

    def _save(self, connection: Connection, saved: Sequence[StoredItem]) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        threads.delete_items(connection, thread_id, list(self._removed), user_id)
        threads.save_items(connection, thread_id, saved, user_id)

    def _items_of(self, connection: Connection, turn: EarlierTurn) -> set[str]:
        """Return the ids of what a turn wrote, without the message that it answered."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        turn = idempotency.reload(connection, turn)
        items = threads.load_items_between(
            connection, thread_id, turn.after_seq, turn.until_seq, user_id
        )
        return _replaceable(items) - {turn.message_id}

    def _items_after(
        self, connection: Connection, place: int, until: int | None = None
    ) -> set[str]:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        return _replaceable(
            threads.load_items_between(connection, thread_id, place, until, user_id)
        )

    def _load(self, connection: Connection, before: int | None) -> Window:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        past = threads.load_history_page(connection, thread_id, before, PAGE, user_id)
        return Window({item.id: item for item in past.items}, past.older)

    def _settle(self, committed: dict[str, StoredItem]) -> None:
        self._recent.items.update(committed)
        self._past.items.update(committed)
        for item_id, item in committed.items():
            if self._staged.get(item_id) is item:
                del self._staged[item_id]


def _replaceable(written: Sequence[StoredItem]) -> set[str]:
    """Return the items' ids. A call whose widget is not among them stays: it may have been run."""
    ids = {item.id for item in written}
    calls = [item for item in written if isinstance(item, ToolCall) and item.widget_id]
    return ids - {call.id for call in calls if call.widget_id not in ids}


def _in_sdk_time(item: ThreadItem) -> ThreadItem:
    """Return a workflow with a naive local time: the SDK measures how long it has gone on."""
    if not isinstance(item, WorkflowItem):
        return item
    local = item.created_at.astimezone().replace(tzinfo=None)
    return item.model_copy(update={"created_at": local})


def check_open(thread: ThreadMetadata) -> None:
    """Raise `Conflict` when the thread takes no more turns."""
    match thread.status:
        case LockedStatus(reason=str(reason)) if reason:
            raise Conflict(_("This thread is locked: {reason}", reason=reason))
        case LockedStatus():
            raise Conflict(_("This thread is locked."))
        case ClosedStatus(reason=str(reason)) if reason:
            raise Conflict(_("This thread is closed: {reason}", reason=reason))
        case ClosedStatus():
            raise Conflict(_("This thread is closed."))
        case _:
            pass


def _changes(before: ThreadMetadata, after: ThreadMetadata) -> dict[str, Any]:
    """Return the fields that differ; of the metadata, the keys that do."""
    changes = {
        name: getattr(after, name)
        for name in MERGED
        if getattr(after, name) != getattr(before, name)
    }
    if "metadata" in changes:
        changes["metadata"] = {
            key: value
            for key, value in after.metadata.items()
            if key not in before.metadata or value != before.metadata[key]
        }
    return changes
