"""Ids of calls: some servers leave them out or repeat them, and the Agents SDK refuses both."""

from collections.abc import Sequence
from typing import Any, cast

from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
)

from app.store.ids import new_id


class CallIds:
    """Keeps the ids of one answer's calls apart from each other and from those of its input."""

    def __init__(self, input: Any) -> None:
        items = cast(list[Any], input) if isinstance(input, list) else []
        self._taken = {str(item["call_id"]) for item in items if _is_call(item)}
        self._given: dict[str, str] = {}

    def in_event(self, event: TResponseStreamEvent) -> TResponseStreamEvent:
        match event:
            case ResponseOutputItemAddedEvent() | ResponseOutputItemDoneEvent():
                self.in_output([event.item])
            case ResponseCompletedEvent():
                self.in_output(event.response.output)
            case _:
                pass
        return event

    def in_output(self, output: Sequence[TResponseOutputItem]) -> None:
        for item in output:
            if isinstance(item, ResponseFunctionToolCall):
                item.call_id = self._id(item)

    def _id(self, call: ResponseFunctionToolCall) -> str:
        key = call.id or call.call_id
        if key not in self._given:
            is_own = bool(call.call_id) and call.call_id not in self._taken
            self._given[key] = call.call_id if is_own else new_id("call")
            self._taken.add(self._given[key])
        return self._given[key]


def _is_call(item: Any) -> bool:
    return isinstance(item, dict) and "call_id" in item


def input_of(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return the input among the arguments of a model's two methods."""
    return kwargs["input"] if "input" in kwargs else args[1]
