"""Remembers what the agents' tools were asked and what they answered."""

from datetime import UTC, datetime
from typing import Any, Literal, cast

from agents import StreamEvent
from agents.items import (
    HandoffCallItem,
    HandoffOutputItem,
    RunItem,
    ToolCallItem,
    ToolCallOutputItem,
)
from agents.stream_events import RunItemStreamEvent
from chatkit.types import ThreadItem, ThreadItemDoneEvent
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel
from pydantic_core import from_json

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.tool_output import output_text
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import CallStatus, StoredItem, ToolCall, is_hidden


class ToolEvent(BaseModel):
    """Tells that a tool was called, or that it answered. ChatKit's clients are not sent it."""

    type: Literal["tool"] = "tool"
    call: ToolCall
    done: bool


def event_for(item: StoredItem) -> Any:
    """Return the event that tells of a stored item or call; None for what nobody is told of."""
    if isinstance(item, ToolCall):
        return ToolEvent(call=item, done=item.status == "completed")
    return None if is_hidden(item) else ThreadItemDoneEvent(item=cast(ThreadItem, item))


class CallRecorder:
    """Watches a run's events, and stages a record of each call when its output is there."""

    def __init__(self, context: TurnContext, store: TurnStore) -> None:
        self._context = context
        self.store = store
        self._open: dict[str, ToolCall] = {}

    async def observe(self, event: StreamEvent) -> None:
        if not isinstance(event, RunItemStreamEvent):
            return
        match event.item:
            case ToolCallItem() | HandoffCallItem():
                await self._called(event.item)
            case ToolCallOutputItem() | HandoffOutputItem():
                await self._answered(event.item)
            case _:
                pass

    async def _called(self, item: ToolCallItem | HandoffCallItem) -> None:
        if isinstance(item.raw_item, ResponseFunctionToolCall):
            call = self.record_of(item, item.raw_item, "completed")
            self._open[item.raw_item.call_id] = call
            await self._tell(call, done=False)

    async def _answered(self, item: ToolCallOutputItem | HandoffOutputItem) -> None:
        raw = cast(dict[str, Any], item.raw_item)
        call_id = str(raw["call_id"])
        call = self._open.pop(call_id, None)
        if self._context.client_tool_call and not self._context.client_call_id:
            self._context.client_call_id = call_id
        if call is None or call_id == self._context.client_call_id:
            return
        result = self._context.results.pop(call_id, None)
        answer = {"output": output_text(raw["output"]), "result": result}
        answer["untrusted"] = self._context.reads_untrusted
        call = call.model_copy(update=answer)
        self.store.add_record(call)
        await self._tell(call, done=True)

    def record_of(
        self, item: RunItem, call: ResponseFunctionToolCall, status: CallStatus
    ) -> ToolCall:
        return ToolCall(
            id=new_id("call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            name=call.name,
            arguments=_arguments(call.arguments),
            agent=item.agent.name,
            status=status,
        )

    async def _tell(self, call: ToolCall, *, done: bool) -> None:
        await self._context.stream(cast(Any, ToolEvent(call=call, done=done)))


def _arguments(arguments: str) -> str:
    """Return the arguments, or none where they are no JSON object: an API would refuse those."""
    try:
        return arguments if isinstance(from_json(arguments), dict) else "{}"
    except ValueError:
        return "{}"
