"""Ids for what comes over Chat Completions: there the Agents SDK calls every item the same.

Ids of calls: some servers leave them out or repeat them, and the Agents SDK refuses both."""

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
    """The ids of one answer's items: one message and one reasoning at most, and the calls."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, object], str] = {}

    def in_event(self, event: TResponseStreamEvent) -> TResponseStreamEvent:
        """Give the item that the event is about its own id."""
        match event:
            case ResponseOutputItemAddedEvent() | ResponseOutputItemDoneEvent():
                self._name(event.item, event.output_index)
            case ResponseCreatedEvent():
                event.response.id = self._id("resp", None)
            case ResponseCompletedEvent():
                event.response.id = self._id("resp", None)
                self.in_output(event.response.output)
            case _:
                if getattr(event, "item_id", None) == FAKE_RESPONSES_ID:
                    self._name_place(event)
        return event

    def in_output(self, output: list[TResponseOutputItem]) -> None:
        """Give the items of a whole answer their own ids."""
        for index, item in enumerate(output):
            self._name(item, index)

    def _name_place(self, event: Any) -> None:
        prefix = _prefix(event.type)
        event.item_id = self._id(prefix, event.output_index if prefix == "fc" else None)

    def _name(self, item: Any, index: int) -> None:
        if item.id != FAKE_RESPONSES_ID:
            return
        prefix = PREFIXES[item.type]
        if not isinstance(item, ResponseFunctionToolCall):
            item.id = self._id(prefix, None)
            return
        call = ("call", item.call_id)
        if call not in self._ids:
            self._ids[call] = self._id(prefix, index)
        item.id = self._ids[call]

    def _id(self, prefix: str, place: object) -> str:
        return self._ids.setdefault((prefix, place), new_id(prefix))


def _prefix(event_type: str) -> str:
    if "function_call" in event_type:
        return "fc"
    return "rs" if "reasoning" in event_type else "msg"


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
