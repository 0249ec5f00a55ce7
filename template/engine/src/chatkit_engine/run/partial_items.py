"""The items that a turn has begun but not finished, which can be saved at any time."""

from collections import defaultdict

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)


class PartialItems:
    """Follows a turn's events. `dirty` means that something changed since the last snapshot."""

    def __init__(self) -> None:
        self.dirty = False
        self._messages: dict[str, _Message] = {}
        self._workflows: dict[str, WorkflowItem] = {}

    def observe(self, event: ThreadStreamEvent) -> None:
        match event:
            case ThreadItemUpdatedEvent():
                self.dirty = True
                if message := self._messages.get(event.item_id):
                    message.apply(event.update)
            case ThreadItemAddedEvent(item=AssistantMessageItem() as item):
                self._messages[item.id] = _Message(item)
            case ThreadItemAddedEvent(item=WorkflowItem() as item):
                # The SDK changes this very object with each update, so it stays current.
                self._workflows[item.id] = item
            case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                self.dirty = True
                self._forget(event.item.id)
            case ThreadItemRemovedEvent():
                self._forget(event.item_id)
            case _:
                pass

    def snapshot(self) -> list[ThreadItem]:
        """Return the unfinished items in their current state. Empty messages are left out."""
        self.dirty = False
        messages = (message.item() for message in self._messages.values())
        return [*(item for item in messages if item), *self._workflows.values()]

    def _forget(self, item_id: str) -> None:
        self._messages.pop(item_id, None)
        self._workflows.pop(item_id, None)


class _Message:
    """An assistant message that is being streamed."""

    def __init__(self, item: AssistantMessageItem) -> None:
        self._item = item
        self._parts: defaultdict[int, _Part] = defaultdict(_Part)
        for index, content in enumerate(item.content):
            self._parts[index] = _Part(content)

    def apply(self, update: ThreadItemUpdate) -> None:
        match update:
            case AssistantMessageContentPartTextDelta():
                self._parts[update.content_index].pieces.append(update.delta)
            case AssistantMessageContentPartAdded() | AssistantMessageContentPartDone():
                self._parts[update.content_index] = _Part(update.content)
            case AssistantMessageContentPartAnnotationAdded():
                self._parts[update.content_index].annotations.append(update.annotation)
            case _:
                pass

    def item(self) -> AssistantMessageItem | None:
        content = [part.content() for _, part in sorted(self._parts.items())]
        has_text = any(part.text.strip() for part in content)
        return self._item.model_copy(update={"content": content}) if has_text else None


class _Part:
    """One content part. The deltas are joined on demand: joining each would be quadratic."""

    def __init__(self, content: AssistantMessageContent | None = None) -> None:
        self.pieces: list[str] = [content.text] if content else []
        self.annotations: list[Annotation] = list(content.annotations) if content else []

    def content(self) -> AssistantMessageContent:
        return AssistantMessageContent(text="".join(self.pieces), annotations=self.annotations)
