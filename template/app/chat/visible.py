"""Which of a turn's events a client may see."""

from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from app.chat.calls import ToolEvent
from app.store.records import is_hidden


class Visibility:
    """Follows one turn, and holds back hidden items, whichever event they come with."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def shows(self, event: ThreadStreamEvent | ToolEvent) -> bool:
        match event:
            case ThreadItemAddedEvent() | ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                if is_hidden(event.item):
                    self._hidden.add(event.item.id)
                    return False
                return True
            case ThreadItemUpdatedEvent() | ThreadItemRemovedEvent():
                return event.item_id not in self._hidden
            case ToolEvent():
                return False
            case _:
                return True
