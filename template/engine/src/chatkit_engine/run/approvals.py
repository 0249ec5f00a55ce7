"""Tool calls that need the user's approval: shown as a widget, decided once, run at most once.

A tool asks for approval with `@function_tool(needs_approval=True)`. The pending call is a record of
the thread, so it survives a restart. The decision is committed before the tool runs. If the process
dies in between, the call is reported as unknown and never repeated, because it may have been done.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agents import Agent, FunctionTool, RunConfig, RunContextWrapper
from agents.tool import invoke_function_tool
from agents.tool_context import ToolContext
from chatkit.actions import Action
from chatkit.types import ThreadItemDoneEvent, ThreadStreamEvent, WidgetItem
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel
from pydantic_core import to_json

from chatkit_engine.assistant.actions import parse_payload
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import tool_failed
from chatkit_engine.errors import Conflict
from chatkit_engine.run.agent_run import AgentRun
from chatkit_engine.run.approval_widget import build_widget
from chatkit_engine.run.turn_store import ALREADY_DECIDED, TurnStore
from chatkit_engine.store import threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import ToolCall

DECIDE = "approval.decide"
TOOL_GONE = "This tool does not exist any more. It was not done."


class Decision(BaseModel):
    """The payload of the widget's two buttons: the call's id, and the user's decision."""

    call: str
    approved: bool


def parse_decision(action: Action[str, Any]) -> Decision:
    """Return the decision in the action's payload, or raise `BadRequest`."""
    return parse_payload(Decision, action)


async def request_approvals(
    run: AgentRun, context: TurnContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Store each of the run's calls that needs approval, and yield its widget."""
    for item in run.interruptions:
        # Hosted tools have approval requests of other types, which are not supported.
        if not isinstance(item.raw_item, ResponseFunctionToolCall):
            continue
        call = run.calls.create_record(item, item.raw_item, "waiting")
        call = call.model_copy(update={"language": context.request_context.language})
        widget = WidgetItem(
            id=new_id("wid"),
            thread_id=context.thread.id,
            created_at=datetime.now(UTC),
            widget=build_widget(call),
        )
        run.calls.store.add_record(call.model_copy(update={"widget_id": widget.id}))
        yield ThreadItemDoneEvent(item=widget)


async def load_pending_call(
    decision: Decision, thread_id: str, store: SqlStore, user_id: str
) -> ToolCall:
    """Return the call that a decision is about.

    Raises:
        NotFoundError: the thread has no such call.
        Conflict: it was decided before.
    """
    read = store.database.read
    call = await read(threads.load_stored_item, thread_id, decision.call, user_id)
    if not isinstance(call, ToolCall) or call.status != "waiting":
        raise Conflict(ALREADY_DECIDED)
    return call


async def apply_decision(
    decision: Decision,
    context: TurnContext,
    store: TurnStore,
    agents: Mapping[str, Agent[TurnContext]],
    config: RunConfig,
) -> None:
    """Store the user's decision, run the call if it is approved, and update its widget.

    Raises:
        Conflict: it was decided before.
    """
    pending = await load_pending_call(decision, context.thread.id, store, context.user.id)
    call = await store.decide_call(pending, "running" if decision.approved else "refused")
    if decision.approved:
        tool = await _find_tool(call, context, agents)
        output = await _invoke(tool, call, context, config) if tool else TOOL_GONE
        completed = {
            "status": "completed",
            "output": output,
            "result": context.results.pop(call.id, None),
            "untrusted": context.reads_untrusted,
        }
        call = call.model_copy(update=completed)
        store.add_record(call)
        # Commit the output now: the model's answer, which comes next, may take minutes.
        await store.checkpoint()
    item = await store.load_item(call.thread_id, call.widget_id or "", context.request_context)
    if isinstance(item, WidgetItem):
        await context.replace(item, build_widget(call))


async def _find_tool(
    call: ToolCall, context: TurnContext, agents: Mapping[str, Agent[TurnContext]]
) -> FunctionTool | None:
    """Return the tool of the agent that made the call; else another agent's with this name."""
    first = [agents[call.agent]] if call.agent in agents else []
    wrapper = RunContextWrapper(context)
    for agent in [*first, *agents.values()]:
        for tool in await agent.get_all_tools(wrapper):
            if isinstance(tool, FunctionTool) and tool.name == call.name:
                return tool
    return None


async def _invoke(
    tool: FunctionTool, call: ToolCall, context: TurnContext, config: RunConfig
) -> str:
    tool_context = ToolContext(
        context=context,
        tool_name=call.name,
        tool_call_id=call.id,
        tool_arguments=call.arguments,
        run_config=config,
    )
    try:
        output = await invoke_function_tool(
            function_tool=tool, context=tool_context, arguments=call.arguments
        )
    except Exception as error:
        return tool_failed(tool_context, error)
    return output if isinstance(output, str) else to_json(output, fallback=str).decode()
