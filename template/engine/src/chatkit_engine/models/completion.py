"""Normalizes how answers end, for both APIs.

An answer that reached a limit is complete, and a refusal is text, because front ends and histories
know only the text of a message. An answer that breaks off is an error.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseRefusalDeltaEvent,
    ResponseRefusalDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

from chatkit_engine.errors import ModelBusy
from chatkit_engine.models.resilience import AnswerBroken, AnswerRefused
from chatkit_engine.store.ids import new_id

WITHHELD = "The provider's content filter withheld the answer."
BUSY_CODE = "rate_limit_exceeded"
DOWN_CODES = frozenset({"", "server_error", "vector_store_timeout"})

Events = AsyncGenerator[TResponseStreamEvent]


async def whole_answer(stream: AsyncIterator[TResponseStreamEvent]) -> Events:
    """Pass on a stream whose end is either a completed response or an error.

    Raises:
        AnswerBroken, ModelBusy: the provider failed, or the stream ended too early.
    """
    has_ended = False
    async with aclosing(cast(Events, stream)) as events:
        async for event in events:
            match event:
                case ResponseIncompleteEvent():
                    for last in _limited(event):
                        yield last
                    return
                case ResponseFailedEvent(response=response):
                    raise _failure(response.error.code if response.error else "")
                case ResponseErrorEvent():
                    raise _failure(event.code or "")
                case _:
                    has_ended = has_ended or event.type == "response.completed"
                    yield _without_refusals(event)
    if not has_ended:
        raise AnswerBroken("no response.completed")


def whole_response(response: Response) -> Response:
    """Return a response that reached a limit as completed, if it has any text."""
    if response.status != "incomplete" or not (output := _usable_output(response)):
        return response
    return response.model_copy(update={"status": "completed", "output": output})


def text_done(event: TResponseStreamEvent) -> ResponseTextDoneEvent | None:
    """Return `response.output_text.done`, to be sent before the event that ends the content part.

    The Agents SDK does not create it for Chat Completions.
    """
    match event:
        case ResponseContentPartDoneEvent(part=ResponseOutputText() as part):
            return ResponseTextDoneEvent(
                type="response.output_text.done",
                text=part.text,
                logprobs=[],
                item_id=event.item_id,
                output_index=event.output_index,
                content_index=event.content_index,
                sequence_number=event.sequence_number,
            )
        case _:
            return None


def _limited(event: ResponseIncompleteEvent) -> list[TResponseStreamEvent]:
    """Return the last events of an answer that reached a limit: completed, if it has any text."""
    response, number = event.response, event.sequence_number
    if output := _usable_output(response):
        return [_completed(response, output, number)]
    details = response.incomplete_details
    if details is None or details.reason != "content_filter":
        return [event]
    position: dict[str, Any] = {"output_index": len(response.output), "sequence_number": number}
    message = _withheld_message()
    started = message.model_copy(update={"content": [], "status": "in_progress"})
    return [
        ResponseOutputItemAddedEvent(type="response.output_item.added", item=started, **position),
        ResponseOutputItemDoneEvent(type="response.output_item.done", item=message, **position),
        _completed(response, [message], number),
    ]


def _completed(
    response: Response, output: list[ResponseOutputItem], number: int
) -> ResponseCompletedEvent:
    whole = response.model_copy(update={"status": "completed", "output": refusals_as_text(output)})
    return ResponseCompletedEvent(type="response.completed", response=whole, sequence_number=number)


def _usable_output(response: Response) -> list[ResponseOutputItem]:
    """Return the output without calls whose arguments are cut off; nothing if it has no text."""
    messages = [item for item in response.output if isinstance(item, ResponseOutputMessage)]
    if not any(message.content for message in messages):
        return []
    return [
        item
        for item in response.output
        if item in messages or getattr(item, "status", None) != "incomplete"
    ]


def _withheld_message() -> ResponseOutputMessage:
    return ResponseOutputMessage(
        id=new_id("msg"),
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text=WITHHELD, annotations=[])],
    )


def _failure(code: str) -> Exception:
    if code == BUSY_CODE:
        return ModelBusy()
    return AnswerBroken(code) if code in DOWN_CODES else AnswerRefused(code)


def refusals_as_text(output: Sequence[ResponseOutputItem]) -> list[ResponseOutputItem]:
    """Return the output with refusals as text."""
    return [_message(item) for item in output]


def _delta(event: ResponseRefusalDeltaEvent) -> TResponseStreamEvent:
    return ResponseTextDeltaEvent(
        type="response.output_text.delta", delta=event.delta, **_position(event)
    )


def _done(event: ResponseRefusalDoneEvent) -> TResponseStreamEvent:
    return ResponseTextDoneEvent(
        type="response.output_text.done", text=event.refusal, **_position(event)
    )


def _position(event: ResponseRefusalDeltaEvent | ResponseRefusalDoneEvent) -> dict[str, Any]:
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


def _completed_event(event: ResponseCompletedEvent) -> TResponseStreamEvent:
    if not any(_is_refusal(item) for item in event.response.output):
        return event
    response = event.response.model_copy(update={"output": refusals_as_text(event.response.output)})
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
    "response.completed": _completed_event,
}


def _without_refusals(event: TResponseStreamEvent) -> TResponseStreamEvent:
    convert = _CONVERSIONS.get(event.type)
    return convert(event) if convert else event
