"""Adapts a run's events: for ChatKit's converter, then its results for the store.

Items get our own ids. A message's id comes from the model's server, and some servers reuse ids, so
two messages could overwrite each other in the store. Marks such as `[1]` in an answer become
citations of the sources that the turn's tools returned.
"""

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
    URLSource,
)
from openai.types.responses import ResponseOutputTextAnnotationAddedEvent
from pydantic import BaseModel

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.tool_output import repair_surrogates
from chatkit_engine.security.safe_urls import safe_url
from chatkit_engine.store.ids import new_id

IGNORED_EVENTS = frozenset(
    {
        "response.created",
        "response.in_progress",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.completed",
    }
)
IGNORED_ITEMS = frozenset({"message_output_item", "reasoning_item", "tool_call_output_item"})
CITATION_MARK = re.compile(r"\[(\d{1,3})\]")


def is_ignored_by_converter(event: StreamEvent) -> bool:
    """Return whether ChatKit's converter ignores the event. Each one would cost it two tasks."""
    match event:
        case RawResponsesStreamEvent():
            return event.data.type in IGNORED_EVENTS
        case RunItemStreamEvent():
            return event.item.type in IGNORED_ITEMS
        case _:
            return event.type == "agent_updated_stream_event"


def with_plain_annotation(event: StreamEvent) -> StreamEvent:
    """Return the event with its citation as a dict.

    The OpenAI client has two classes for each kind of citation, one for events and one for
    messages. ChatKit's converter accepts those of messages and dicts, but the events have the
    others.
    """
    match event:
        case RawResponsesStreamEvent(
            data=ResponseOutputTextAnnotationAddedEvent(annotation=BaseModel() as citation) as data
        ):
            plain = data.model_copy(update={"annotation": citation.model_dump()})
            return RawResponsesStreamEvent(data=plain)
        case _:
            return event


async def assign_item_ids(
    events: AsyncIterator[ThreadStreamEvent], context: TurnContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Yield the events with our own item ids and valid text, and with the messages' citations."""
    ids: dict[str, str] = {}
    deltas = SurrogateJoiner()
    async for event in events:
        match event:
            case ThreadItemUpdatedEvent():
                event.item_id = ids.get(event.item_id, event.item_id)
                if isinstance(event.update, AssistantMessageContentPartTextDelta):
                    event.update.delta = deltas.add(event.update.delta)
                elif isinstance(event.update, AssistantMessageContentPartDone):
                    event.update.content = _repair(event.update.content)
            case ThreadItemAddedEvent(item=AssistantMessageItem() as item):
                ids[item.id] = new_id("msg")
                event.item = _with_id(item, ids[item.id])
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item):
                # Some servers send no event when a message begins.
                event.item = _with_id(item, ids.get(item.id) or new_id("msg"))
                for citation in add_citations(event.item, context.sources):
                    yield citation
            case ThreadItemDoneEvent(item=ClientToolCallItem() as item):
                # Servers choose the call ids as well.
                own = {"id": new_id("tc"), "call_id": new_id("call")}
                event.item = item.model_copy(update=own)
            case ThreadItemRemovedEvent():
                event.item_id = ids.get(event.item_id, event.item_id)
            case _:
                pass
        yield event


def _with_id(item: AssistantMessageItem, item_id: str) -> AssistantMessageItem:
    return item.model_copy(
        update={"id": item_id, "content": [_repair(part) for part in item.content]}
    )


def _repair(part: AssistantMessageContent) -> AssistantMessageContent:
    return part.model_copy(update={"text": repair_surrogates(part.text)})


class SurrogateJoiner:
    """Joins surrogate pairs across deltas, because some servers split an emoji over two deltas."""

    def __init__(self) -> None:
        self._high = ""

    def add(self, delta: str) -> str:
        """Return the text so far that is complete. A high surrogate at the end is held back."""
        text = self._high + delta
        self._high = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return repair_surrogates(text.removesuffix(self._high))


def add_citations(
    item: AssistantMessageItem, sources: Sequence[Source]
) -> Iterator[ThreadItemUpdatedEvent]:
    """Annotate the message in place, and yield an event for each annotation."""
    for content_index, part in enumerate(item.content):
        for mark in CITATION_MARK.finditer(part.text):
            number = int(mark.group(1))
            if not 1 <= number <= len(sources) or not _may_be_opened(sources[number - 1]):
                continue
            annotation = Annotation(source=sources[number - 1], index=mark.end())
            part.annotations.append(annotation)
            update = AssistantMessageContentPartAnnotationAdded(
                content_index=content_index,
                annotation_index=len(part.annotations) - 1,
                annotation=annotation,
            )
            yield ThreadItemUpdatedEvent(item_id=item.id, update=update)


def _may_be_opened(source: Source) -> bool:
    return not isinstance(source, URLSource) or safe_url(source.url) is not None
