"""A model of the store as plain lists in memory, without SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import BadRequest


@dataclass
class Shelf:
    """Things in the order in which they came, and where those stood that are gone."""

    places: dict[str, int] = field(default_factory=dict[str, int])
    things: dict[str, Any] = field(default_factory=dict[str, Any])
    gone: dict[str, int] = field(default_factory=dict[str, int])

    def put(self, name: str, thing: Any, place: int) -> None:
        self.places.setdefault(name, place)
        self.things[name] = thing

    def take(self, name: str) -> None:
        if name in self.things:
            self.gone[name] = self.places.pop(name)
            del self.things[name]

    def page(self, after: str | None, limit: int, order: str) -> Page[Any]:
        newest_first = order == "desc"
        names = sorted(self.places, key=self.places.__getitem__, reverse=newest_first)
        if after:
            place = self.places.get(after, self.gone.get(after))
            if place is None:
                raise BadRequest("no such cursor")
            names = [
                name
                for name in names
                if (self.places[name] < place if newest_first else self.places[name] > place)
            ]
        has_more = len(names) > limit
        data = [self.things[name] for name in names[:limit]]
        return Page(data=data, has_more=has_more, after=names[limit - 1] if has_more else None)


class StoreModel:
    """The store's methods, of the same names."""

    def __init__(self) -> None:
        self._clock = count()
        self._threads: dict[str, Shelf] = {}
        self._items: dict[tuple[str, str], Shelf] = {}
        self._owners: dict[str, str] = {}
        self._attachments: dict[str, tuple[str, Attachment]] = {}
        self.feedback: dict[tuple[str, str], str] = {}

    def _shelf(self, context: RequestContext) -> Shelf:
        return self._threads.setdefault(context.user.id, Shelf())

    def _items_of(self, thread_id: str, context: RequestContext) -> Shelf:
        key = (context.user.id, thread_id)
        return self._items.setdefault(key, Shelf())

    def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        if self._owners.setdefault(thread.id, context.user.id) != context.user.id:
            raise NotFoundError
        self._shelf(context).put(thread.id, thread, next(self._clock))

    def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        return _found(self._shelf(context).things, thread_id)

    def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        return self._shelf(context).page(after, limit, order)

    def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        if self._owners.get(thread_id) != context.user.id:
            return
        del self._owners[thread_id]
        self._shelf(context).take(thread_id)
        items = self._items_of(thread_id, context)
        items.places.clear()
        items.things.clear()
        self._attachments = {
            name: (user, each)
            for name, (user, each) in self._attachments.items()
            if each.thread_id != thread_id
        }
        self.feedback = {key: kind for key, kind in self.feedback.items() if key[0] != thread_id}

    def add_thread_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        self.load_thread(thread_id, context)
        self._items_of(thread_id, context).put(item.id, item, next(self._clock))

    save_item = add_thread_item

    def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        return _found(self._items_of(thread_id, context).things, item_id)

    def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        return self._items_of(thread_id, context).page(after, limit, order)

    def delete_thread_item(self, thread_id: str, item_id: str, context: RequestContext) -> None:
        self._items_of(thread_id, context).take(item_id)
        if self._owners.get(thread_id) == context.user.id:
            self.feedback.pop((thread_id, item_id), None)

    def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        if attachment.thread_id is not None:
            self.load_thread(attachment.thread_id, context)
        if attachment.id in self._attachments:
            self.load_attachment(attachment.id, context)
        self._attachments[attachment.id] = (context.user.id, attachment)

    def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        user, attachment = _found(self._attachments, attachment_id)
        if user != context.user.id:
            raise NotFoundError
        return attachment

    def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        user, _ = self._attachments.get(attachment_id, (None, None))
        if user == context.user.id:
            del self._attachments[attachment_id]

    def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: str, context: RequestContext
    ) -> None:
        judged = [self.load_item(thread_id, item_id, context) for item_id in item_ids]
        self.feedback |= {(thread_id, item.id): kind for item in judged}


def _found(things: dict[str, Any], name: str) -> Any:
    if name not in things:
        raise NotFoundError
    return things[name]
