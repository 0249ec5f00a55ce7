"""Records the agents' tool calls and their outputs, for later turns and for clients."""

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
    """A tool was called, or has returned (`done`). Only `/api/chat` sends this event to clients."""

    type: Literal["tool"] = "tool"
    call: ToolCall
    done: bool


def event_for(item: StoredItem) -> Any:
    """Return the event for a stored item or call. None for hidden items."""
    if isinstance(item, ToolCall):
        return ToolEvent(call=item, done=item.status == "completed")
    return None if is_hidden(item) else ThreadItemDoneEvent(item=cast(ThreadItem, item))


class CallRecorder:
    """Follows a run's events, and stages a record of each call once it has an output."""

    def __init__(self, context: TurnContext, store: TurnStore) -> None:
        self._context = context
        self.store = store
        self._open: dict[str, ToolCall] = {}

    async def observe(self, event: StreamEvent) -> None:
        if not isinstance(event, RunItemStreamEvent):
            return
        match event.item:
            case ToolCallItem() | HandoffCallItem():
                await self._on_call(event.item)
            case ToolCallOutputItem() | HandoffOutputItem():
                await self._on_output(event.item)
            case _:
                pass

    async def _on_call(self, item: ToolCallItem | HandoffCallItem) -> None:
        if isinstance(item.raw_item, ResponseFunctionToolCall):
            call = self.create_record(item, item.raw_item, "completed")
            self._open[item.raw_item.call_id] = call
            await self._stream(call, done=False)

    async def _on_output(self, item: ToolCallOutputItem | HandoffOutputItem) -> None:
        raw = cast(dict[str, Any], item.raw_item)
        call_id = str(raw["call_id"])
        call = self._open.pop(call_id, None)
        # `AgentContext.client_tool_call` can be set without `TurnContext.call_client`.
        if self._context.client_tool_call and not self._context.client_call_id:
            self._context.client_call_id = call_id
        # The front end's output is stored with its own item, `ClientToolCallItem`.
        if call is None or call_id == self._context.client_call_id:
            return
        result = self._context.results.pop(call_id, None)
        output = {
            "output": output_text(raw["output"]),
            "result": result,
            "untrusted": self._context.reads_untrusted,
        }
        call = call.model_copy(update=output)
        self.store.add_record(call)
        await self._stream(call, done=True)

    def create_record(
        self, item: RunItem, call: ResponseFunctionToolCall, status: CallStatus
    ) -> ToolCall:
        """Return a record of a call that the model made, still without its output."""
        return ToolCall(
            id=new_id("call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            name=call.name,
            arguments=_arguments(call.arguments),
            agent=item.agent.name,
            status=status,
        )

    async def _stream(self, call: ToolCall, *, done: bool) -> None:
        # The queue takes any object. Only its type is limited to ChatKit's events.
        await self._context.stream(cast(Any, ToolEvent(call=call, done=done)))


def _arguments(arguments: str) -> str:
    """Return the arguments if they are a JSON object, else `{}`: an API refuses anything else."""
    try:
        return arguments if isinstance(from_json(arguments), dict) else "{}"
    except ValueError:
        return "{}"
