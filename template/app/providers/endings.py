"""The ends of answers: what met a limit or was refused is an answer, and what broke off is none."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartDoneEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDoneEvent,
)

from app.errors import ModelBusy
from app.providers.failures import AnswerBroken, AnswerRefused
from app.providers.refusals import as_text, event_as_text
from app.store.ids import new_id

WITHHELD = "The provider's content filter withheld the answer."
BUSY_CODE = "rate_limit_exceeded"
DOWN_CODES = frozenset({"", "server_error", "vector_store_timeout"})

Events = AsyncGenerator[TResponseStreamEvent]


async def whole_answer(stream: AsyncIterator[TResponseStreamEvent]) -> Events:
    """Pass a stream on, and make sure of its end.

    Raises:
        AnswerBroken, ModelBusy: the provider failed, or the stream ended before the answer did.
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
                    yield event_as_text(event)
    if not has_ended:
        raise AnswerBroken("no end")


def end_of_text(event: TResponseStreamEvent) -> ResponseTextDoneEvent | None:
    """Return the event that a text is whole, which the Agents SDK leaves out of Chat Completions.

    It comes before the one that the text's part is whole.
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


def whole_response(response: Response) -> Response:
    """Return a response that met a limit as complete, if it has any text."""
    if response.status != "incomplete" or not (output := _kept(response)):
        return response
    return response.model_copy(update={"status": "completed", "output": output})


def _limited(event: ResponseIncompleteEvent) -> list[TResponseStreamEvent]:
    """Return the last events of an answer that met a limit: complete, if there is text to show."""
    response, number = event.response, event.sequence_number
    if output := _kept(response):
        return [_completed(response, output, number)]
    details = response.incomplete_details
    if details is None or details.reason != "content_filter":
        return [event]
    place: dict[str, Any] = {"output_index": len(response.output), "sequence_number": number}
    message = _withheld()
    begun = message.model_copy(update={"content": [], "status": "in_progress"})
    return [
        ResponseOutputItemAddedEvent(type="response.output_item.added", item=begun, **place),
        ResponseOutputItemDoneEvent(type="response.output_item.done", item=message, **place),
        _completed(response, [message], number),
    ]


def _completed(
    response: Response, output: list[ResponseOutputItem], number: int
) -> ResponseCompletedEvent:
    whole = response.model_copy(update={"status": "completed", "output": as_text(output)})
    return ResponseCompletedEvent(type="response.completed", response=whole, sequence_number=number)


def _kept(response: Response) -> list[ResponseOutputItem]:
    """Return what holds of the output: text, but no call whose arguments were cut; else nothing."""
    messages = [item for item in response.output if isinstance(item, ResponseOutputMessage)]
    if not any(message.content for message in messages):
        return []
    return [
        item
        for item in response.output
        if item in messages or getattr(item, "status", None) != "incomplete"
    ]


def _withheld() -> ResponseOutputMessage:
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
