"""Refusals as text: front ends and histories know the text of a message, and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseOutputItem,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseRefusalDeltaEvent,
    ResponseRefusalDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)


def event_as_text(event: TResponseStreamEvent) -> TResponseStreamEvent:
    """Return the event, with any refusal in it as text."""
    convert = _CONVERSIONS.get(event.type)
    return convert(event) if convert else event


def as_text(output: Sequence[ResponseOutputItem]) -> list[ResponseOutputItem]:
    """Return the output, with refusals as text."""
    return [_message(item) for item in output]


def _delta(event: ResponseRefusalDeltaEvent) -> TResponseStreamEvent:
    return ResponseTextDeltaEvent(
        type="response.output_text.delta", delta=event.delta, **_place(event)
    )


def _done(event: ResponseRefusalDoneEvent) -> TResponseStreamEvent:
    return ResponseTextDoneEvent(
        type="response.output_text.done", text=event.refusal, **_place(event)
    )


def _place(event: ResponseRefusalDeltaEvent | ResponseRefusalDoneEvent) -> dict[str, Any]:
    return {
        "item_id": event.item_id,
        "output_index": event.output_index,
        "content_index": event.content_index,
        "sequence_number": event.sequence_number,
        "logprobs": [],
    }


def _part_event(
    event: ResponseContentPartAddedEvent | ResponseContentPartDoneEvent,
) -> TResponseStreamEvent:
    if not isinstance(event.part, ResponseOutputRefusal):
        return event
    return event.model_copy(update={"part": _part(event.part)})


def _item_event(event: ResponseOutputItemDoneEvent) -> TResponseStreamEvent:
    item = _message(event.item)
    return event if item is event.item else event.model_copy(update={"item": item})


def _completed(event: ResponseCompletedEvent) -> TResponseStreamEvent:
    if not any(_is_refusal(item) for item in event.response.output):
        return event
    response = event.response.model_copy(update={"output": as_text(event.response.output)})
    return event.model_copy(update={"response": response})


def _is_refusal(item: ResponseOutputItem) -> bool:
    return isinstance(item, ResponseOutputMessage) and any(
        isinstance(part, ResponseOutputRefusal) for part in item.content
    )


def _message(item: ResponseOutputItem) -> ResponseOutputItem:
    if not isinstance(item, ResponseOutputMessage) or not _is_refusal(item):
        return item
    return item.model_copy(update={"content": [_part(part) for part in item.content]})


def _part(part: ResponseOutputText | ResponseOutputRefusal) -> ResponseOutputText:
    if isinstance(part, ResponseOutputText):
        return part
    return ResponseOutputText(type="output_text", text=part.refusal, annotations=[])


_CONVERSIONS: Mapping[str, Callable[[Any], TResponseStreamEvent]] = {
    "response.refusal.delta": _delta,
    "response.refusal.done": _done,
    "response.content_part.added": _part_event,
    "response.content_part.done": _part_event,
    "response.output_item.done": _item_event,
    "response.completed": _completed,
}
