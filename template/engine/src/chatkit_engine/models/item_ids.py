"""Gives unique ids to items and tool calls.

Over Chat Completions the Agents SDK gives every item the same id. Some servers leave out the ids of
calls or repeat them, which the SDK refuses.
"""

from collections.abc import Sequence
from typing import Any, cast

from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
)

from chatkit_engine.store.ids import new_id

PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}


class ItemIds:
    """The ids of one answer's items: at most one message and one reasoning item, and the calls."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, object], str] = {}

    def set_in_event(self, event: TResponseStreamEvent) -> TResponseStreamEvent:
        """Replace the placeholder id in an event."""
        match event:
            case ResponseOutputItemAddedEvent() | ResponseOutputItemDoneEvent():
                self._set_id(event.item, event.output_index)
            case ResponseCreatedEvent():
                event.response.id = self._id("resp", None)
            case ResponseCompletedEvent():
                event.response.id = self._id("resp", None)
                self.set_in_output(event.response.output)
            case _:
                if getattr(event, "item_id", None) == FAKE_RESPONSES_ID:
                    self._set_item_id(event)
        return event

    def set_in_output(self, output: list[TResponseOutputItem]) -> None:
        """Replace the placeholder ids of a complete answer's items."""
        for index, item in enumerate(output):
            self._set_id(item, index)

    def _set_item_id(self, event: Any) -> None:
        prefix = _prefix(event.type)
        event.item_id = self._id(prefix, event.output_index if prefix == "fc" else None)

    def _set_id(self, item: Any, index: int) -> None:
        if item.id != FAKE_RESPONSES_ID:
            return
        prefix = PREFIXES[item.type]
        if not isinstance(item, ResponseFunctionToolCall):
            item.id = self._id(prefix, None)
            return
        # By the call id, because the index in the complete output may differ from the events'.
        call = ("call", item.call_id)
        if call not in self._ids:
            self._ids[call] = self._id(prefix, index)
        item.id = self._ids[call]

    def _id(self, prefix: str, key: object) -> str:
        return self._ids.setdefault((prefix, key), new_id(prefix))


def _prefix(event_type: str) -> str:
    if "function_call" in event_type:
        return "fc"
    return "rs" if "reasoning" in event_type else "msg"


class CallIds:
    """Makes the ids of one answer's calls differ from each other and from those in its input."""

    def __init__(self, input: Any) -> None:
        items = cast(list[Any], input) if isinstance(input, list) else []
        self._taken = {str(item["call_id"]) for item in items if _is_call(item)}
        self._given: dict[str, str] = {}

    def set_in_event(self, event: TResponseStreamEvent) -> TResponseStreamEvent:
        match event:
            case ResponseOutputItemAddedEvent() | ResponseOutputItemDoneEvent():
                self.set_in_output([event.item])
            case ResponseCompletedEvent():
                self.set_in_output(event.response.output)
            case _:
                pass
        return event

    def set_in_output(self, output: Sequence[TResponseOutputItem]) -> None:
        for item in output:
            if isinstance(item, ResponseFunctionToolCall):
                item.call_id = self._id(item)

    def _id(self, call: ResponseFunctionToolCall) -> str:
        key = call.id or call.call_id
        if key not in self._given:
            is_unique = bool(call.call_id) and call.call_id not in self._taken
            self._given[key] = call.call_id if is_unique else new_id("call")
            self._taken.add(self._given[key])
        return self._given[key]


def _is_call(item: Any) -> bool:
    return isinstance(item, dict) and "call_id" in item


def input_of(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return the input among the arguments of `get_response` or `stream_response`."""
    return kwargs["input"] if "input" in kwargs else args[1]
