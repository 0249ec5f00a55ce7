"""The assistant's events, with ids of our own and times in UTC.

A message's id comes from the model, and not every server keeps its ids apart: two messages of
one id would overwrite each other in the store.


Turns marks such as `[1]` in an answer into citations of what the turn's tools gave."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence

from agents import StreamEvent
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    Source,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from openai.types.responses import ResponseOutputTextAnnotationAddedEvent
from pydantic import BaseModel

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.tool_output import whole_text
from chatkit_engine.store.ids import new_id

IDLE_EVENTS = frozenset(
    {
        "response.created",
        "response.in_progress",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.completed",
    }
)

IDLE_ITEMS = frozenset({"message_output_item", "reasoning_item", "tool_call_output_item"})
MARK = re.compile(r"\[(\d{1,3})\]")


def is_idle(event: StreamEvent) -> bool:
    """Say whether ChatKit's converter ignores the event, which would cost it two tasks."""
    match event:
        case RawResponsesStreamEvent():
            return event.data.type in IDLE_EVENTS
        case RunItemStreamEvent():
            return event.item.type in IDLE_ITEMS
        case _:
            return event.type == "agent_updated_stream_event"


def readable(event: StreamEvent) -> StreamEvent:
    """Return the event as ChatKit's converter reads it.

    The client has two classes for each kind of citation; the converter takes the other one only,
    or plain fields.
    """
    match event:
        case RawResponsesStreamEvent(
            data=ResponseOutputTextAnnotationAddedEvent(annotation=BaseModel() as cited) as data
        ):
            plain = data.model_copy(update={"annotation": cited.model_dump()})
            return RawResponsesStreamEvent(data=plain)
        case _:
            return event


async def with_own_ids(
    events: AsyncIterator[ThreadStreamEvent], context: TurnContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Yield the events with ids of our own, and each message with its citations."""
    ids: dict[str, str] = {}
    texts = WholeCharacters()
    async for event in events:
        match event:
            case ThreadItemUpdatedEvent():
                event.item_id = ids.get(event.item_id, event.item_id)
                if isinstance(event.update, AssistantMessageContentPartTextDelta):
                    event.update.delta = texts.add(event.update.delta)
                elif isinstance(event.update, AssistantMessageContentPartDone):
                    event.update.content = _whole(event.update.content)
            case ThreadItemAddedEvent(item=AssistantMessageItem() as item):
                ids[item.id] = new_id("msg")
                event.item = _renamed(item, ids[item.id])
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item):
                event.item = _renamed(item, ids.get(item.id) or new_id("msg"))
                for citation in cite(event.item, context.sources):
                    yield citation
            case ThreadItemDoneEvent(item=ClientToolCallItem() as item):
                own = {"id": new_id("tc"), "call_id": new_id("call")}
                event.item = item.model_copy(update=own)
            case ThreadItemRemovedEvent():
                event.item_id = ids.get(event.item_id, event.item_id)
            case _:
                pass
        yield event


def _renamed(item: AssistantMessageItem, item_id: str) -> AssistantMessageItem:
    return item.model_copy(
        update={"id": item_id, "content": [_whole(part) for part in item.content]}
    )


class WholeCharacters:
    """Joins characters that were cut in two: some servers split an emoji over two deltas."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, delta: str) -> str:
        """Return the text that is whole by now."""
        text = self._half + delta
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return whole_text(text.removesuffix(self._half))


def _whole(part: AssistantMessageContent) -> AssistantMessageContent:
    return part.model_copy(update={"text": whole_text(part.text)})


def cite(item: AssistantMessageItem, sources: Sequence[Source]) -> Iterator[ThreadItemUpdatedEvent]:
    """Annotate the message in place, and yield an event for each annotation."""
    for content_index, part in enumerate(item.content):
        for mark in MARK.finditer(part.text):
            number = int(mark.group(1))
            if not 1 <= number <= len(sources):
                continue
            annotation = Annotation(source=sources[number - 1], index=mark.end())
            part.annotations.append(annotation)
            update = AssistantMessageContentPartAnnotationAdded(
                content_index=content_index,
                annotation_index=len(part.annotations) - 1,
                annotation=annotation,
            )
            yield ThreadItemUpdatedEvent(item_id=item.id, update=update)
