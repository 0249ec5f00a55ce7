"""The store as one turn sees it.

The user's message is committed with the turn's lease, before the client hears of either. What the
assistant writes is staged, and committed at a checkpoint and at the end. A plain turn takes two
transactions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    Page,
    SDKHiddenContextItem,
    StructuredInputItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)
from pydantic_core import to_json
from sqlalchemy import Connection

from app.chat.preflight import check_open
from app.context import RequestContext
from app.store import keys, maintenance, sql, usage
from app.store.engine import Database
from app.store.ids import new_id
from app.store.keys import Earlier
from app.store.maintenance import Lease, LeaseLost, Outcome
from app.store.presence import Presence
from app.store.usage import Usage

HISTORY_ITEMS = 50
MERGED = tuple(name for name in ThreadMetadata.model_fields if name not in ("id", "created_at"))
INTERRUPTED = "The assistant's previous answer was cut off before it was complete."


@dataclass(frozen=True)
class Opening:
    """What a turn begins with: a message, or something stored that is answered again."""

    message: UserMessageItem | None = None
    opens_thread: bool = False
    retried: str | None = None
    again: Earlier | None = None

    @property
    def message_id(self) -> str | None:
        if self.message is not None:
            return self.message.id
        return self.retried or (self.again and self.again.message_id)


class TurnStore(sql.SqlStore):
    """A `SqlStore` for one turn on one thread, which writes only while the lease is held."""

    _thread: ThreadMetadata

    def __init__(self, database: Database, lease: Lease) -> None:
        super().__init__(database)
        self.lease = lease
        self._recent: dict[str, ThreadItem] = {}
        self._past: dict[str, ThreadItem] = {}
        self._reaches_start = False
        self._staged: dict[str, ThreadItem] = {}
        self._removed: set[str] = set()
        self._answers_message = False

    async def begin(self, presence: Presence, opening: Opening) -> None:
        """Take the lease, and store the message with it; if either cannot be, store nothing.

        Raises:
            NotFoundError: the thread or an attachment does not exist, or is not the user's.
            Conflict: the thread is locked, closed or busy, or an attachment is another thread's.
        """
        await self.database.write(self._begin, presence, opening)

    def _begin(self, connection: Connection, presence: Presence, opening: Opening) -> None:
        thread_id, user_id, key = self.lease.thread_id, self.lease.user_id, self.lease.key
        if opening.opens_thread:
            self._thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
            sql.save_thread(connection, self._thread, user_id)
        else:
            self._thread = sql.load_thread(connection, thread_id, user_id)
            check_open(self._thread)
        again = opening.again
        if key is not None:
            keys.release(connection, user_id, key.value, again.turn_id if again else None)
        found_dead = not opening.opens_thread and maintenance.close_dead(
            connection, thread_id, presence
        )
        if found_dead and again is None:
            mark_cut_off(connection, thread_id, user_id)
        maintenance.acquire(connection, self.lease, presence, opening.message_id)
        self._answers_message = opening.message_id is not None
        self._removed = self._items_of(connection, again) if again else set()
        if opening.message is not None:
            message = opening.message
            sql.claim_attachments(connection, message.attachments, thread_id, user_id)
            self._save(connection, [message])
        self._load_recent(connection)
        answered = opening.message_id if opening.message is None else None
        self._past = self._load_past(connection, answered) if answered else self._recent

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
        theirs = sql.lock_thread(connection, ours.id, self.lease.user_id)
        changes = _changes(self._thread, ours)
        foreign = _changes(self._thread, theirs)
        merged = {name: changes[name] for name in changes.keys() - foreign.keys()}
        if "metadata" in changes:
            dropped = self._thread.metadata.keys() - ours.metadata.keys()
            kept = {key: value for key, value in theirs.metadata.items() if key not in dropped}
            merged["metadata"] = kept | changes["metadata"] | foreign.get("metadata", {})
        thread = theirs.model_copy(update=merged)
        sql.save_thread(connection, thread, self.lease.user_id)
        return thread

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """The thread took its attachments together with the message."""

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        if isinstance(item, UserMessageItem) and item.id in self._recent:
            return
        self._removed.discard(item.id)
        self._staged[item.id] = item
        if isinstance(item, UserMessageItem | ClientToolCallItem | StructuredInputItem):
            await self.checkpoint()

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        if item_id in self._removed:
            raise NotFoundError(item_id)
        staged = self._staged.get(item_id)
        return staged or await super().load_item(thread_id, item_id, context)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Stage the removal: an old answer stays until there is something to put in its place."""
        self._staged.pop(item_id, None)
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
            newest = self._known(self._recent)[::-1]
            if len(newest) > limit or self._reaches_start:
                more = len(newest) > limit
                data = newest[:limit]
                return Page(data=data, has_more=more, after=data[-1].id if more else None)
        return await super().load_thread_items(thread_id, after, limit, order, context)

    def history(self) -> list[ThreadItem]:
        """Return what the turn answers to, oldest first, with what it has staged itself."""
        return self._known(self._past)

    def _known(self, stored: dict[str, ThreadItem]) -> list[ThreadItem]:
        known = {**stored, **self._staged}
        return [item for item in known.values() if item.id not in self._removed]

    async def checkpoint(self, unfinished: Iterable[ThreadItem] = ()) -> None:
        """Renew the lease, and commit what is staged together with the unfinished items."""
        staged = dict(self._staged)
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

    def _checkpoint(self, connection: Connection, items: Sequence[ThreadItem]) -> None:
        maintenance.renew(connection, self.lease)
        self._save(connection, items)

    def _close(
        self,
        connection: Connection,
        outcome: Outcome,
        used: Usage | None,
        items: Sequence[ThreadItem],
    ) -> None:
        lease, tokens = self.lease, to_json(used).decode() if used else None
        if not maintenance.close(connection, lease, outcome, tokens):
            return
        if used:
            usage.record(connection, lease.user_id, lease.thread_id, lease.turn_id, "turn", used)
        self._save(connection, items)
        keeps_old_answer = self._removed and not items
        is_cut_off = outcome != "completed" and (items or self._answers_message)
        if is_cut_off and not keeps_old_answer:
            mark_cut_off(connection, lease.thread_id, lease.user_id)

    def _items_of(self, connection: Connection, turn: Earlier) -> set[str]:
        """Return the ids of what a turn wrote, without the message that it answered."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        turn = keys.reload(connection, turn)
        items = sql.load_items_between(
            connection, thread_id, turn.after_seq, turn.until_seq, user_id
        )
        return {item.id for item in items} - {turn.message_id}

    def _load_recent(self, connection: Connection) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        page = sql.load_items(connection, thread_id, None, HISTORY_ITEMS, "desc", user_id)
        self._recent = {item.id: item for item in reversed(page.data)}
        self._reaches_start = not page.has_more

    def _load_past(self, connection: Connection, retried: str) -> dict[str, ThreadItem]:
        """Return the newest items up to the message that is answered again."""
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        page = sql.load_items(connection, thread_id, retried, HISTORY_ITEMS, "desc", user_id)
        message = sql.load_item(connection, thread_id, retried, user_id)
        return {item.id: item for item in (*reversed(page.data), message)}

    def _save(self, connection: Connection, saved: Sequence[ThreadItem]) -> None:
        thread_id, user_id = self.lease.thread_id, self.lease.user_id
        if saved and self._removed:
            sql.delete_items(connection, thread_id, list(self._removed), user_id)
        sql.save_items(connection, thread_id, saved, user_id)

    def _settle(self, committed: dict[str, ThreadItem]) -> None:
        self._recent.update(committed)
        self._past.update(committed)
        for item_id, item in committed.items():
            if self._staged.get(item_id) is item:
                del self._staged[item_id]


def mark_cut_off(connection: Connection, thread_id: str, user_id: str) -> None:
    """Tell the next turn's model, and nobody else, that the answer before is not whole.

    A call of a client's tool that waits for its output stays the newest item: by that the output
    finds it.
    """
    newest = sql.load_items(connection, thread_id, None, 1, "desc", user_id).data
    if any(isinstance(item, ClientToolCallItem) and item.status == "pending" for item in newest):
        return
    marker = SDKHiddenContextItem(
        id=new_id("shc"),
        thread_id=thread_id,
        created_at=datetime.now(UTC),
        content=INTERRUPTED,
    )
    sql.save_items(connection, thread_id, [marker], user_id)


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
