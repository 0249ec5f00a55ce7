"""Calls that wait for the user's yes: shown as a widget, decided once, run at most once.

A tool asks for it with `@function_tool(needs_approval=True)`. The waiting call is a record of the
thread, so it survives a restart. The decision is committed before the tool runs: where the process
ends in between, the call is reported as unknown and never repeated.
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

from chatkit_engine.assistant.actions import checked
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import tool_failed
from chatkit_engine.errors import Conflict
from chatkit_engine.run.agent_run import AgentRun
from chatkit_engine.run.approval_widget import widget_of
from chatkit_engine.run.turn_store import DECIDED, TurnStore
from chatkit_engine.store import threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import ToolCall

DECIDE = "approval.decide"
GONE = "This tool is not there any more. It was not done."


class Decision(BaseModel):
    """The payload of the widget's two buttons: a call's record, and the user's answer."""

    call: str
    approved: bool


def parse(action: Action[str, Any]) -> Decision:
    """Return the decision that an action brings, or raise `BadRequest`."""
    return checked(Decision, action)


async def ask(run: AgentRun, context: TurnContext) -> AsyncIterator[ThreadStreamEvent]:
    """Show each of the run's calls that wait for approval, and store it."""
    for item in run.interruptions:
        if not isinstance(item.raw_item, ResponseFunctionToolCall):
            continue
        call = run.calls.record_of(item, item.raw_item, "waiting")
        call = call.model_copy(update={"language": context.request_context.language})
        shown = WidgetItem(
            id=new_id("wid"),
            thread_id=context.thread.id,
            created_at=datetime.now(UTC),
            widget=widget_of(call),
        )
        run.calls.store.add_record(call.model_copy(update={"widget_id": shown.id}))
        yield ThreadItemDoneEvent(item=shown)


async def decide(
    decision: Decision,
    context: TurnContext,
    store: TurnStore,
    agents: Mapping[str, Agent[TurnContext]],
    config: RunConfig,
) -> None:
    """Keep the user's decision, run the call if it is a yes, and show what became of it.

    Raises:
        Conflict: it was decided before.
    """
    waiting = await check(decision, context.thread.id, store, context.user.id)
    call = await store.advance(waiting, "running" if decision.approved else "refused")
    if decision.approved:
        tool = await _find(call, context, agents)
        output = await _invoke(tool, call, context, config) if tool else GONE
        result = context.results.pop(call.id, None)
        answered = {"status": "completed", "output": output, "result": result}
        answered["untrusted"] = context.reads_untrusted
        call = call.model_copy(update=answered)
        store.add_record(call)
        await store.checkpoint()
    shown = await store.load_item(call.thread_id, call.widget_id or "", context.request_context)
    if isinstance(shown, WidgetItem):
        await context.replace(shown, widget_of(call))


async def check(decision: Decision, thread_id: str, store: SqlStore, user_id: str) -> ToolCall:
    """Return the call that a decision is about.

    Raises:
        NotFoundError: there is none in the thread.
        Conflict: it was decided before.
    """
    read = store.database.read
    call = await read(threads.load_stored_item, thread_id, decision.call, user_id)
    if not isinstance(call, ToolCall) or call.status != "waiting":
        raise Conflict(DECIDED)
    return call


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


async def _find(
    call: ToolCall, context: TurnContext, agents: Mapping[str, Agent[TurnContext]]
) -> FunctionTool | None:
    """Return the tool of the agent that called it, or of another that has one of the name."""
    first = [agents[call.agent]] if call.agent in agents else []
    wrapper = RunContextWrapper(context)
    for agent in [*first, *agents.values()]:
        for tool in await agent.get_all_tools(wrapper):
            if isinstance(tool, FunctionTool) and tool.name == call.name:
                return tool
    return None
