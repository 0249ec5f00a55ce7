"""Threads that are locked and closed, calls that wait, and turns that break."""

import asyncio

from agents import RunContextWrapper, function_tool
from chatkit.types import ClientEffectEvent, ClosedStatus, LockedStatus, WidgetItem
from pydantic import BaseModel

from chatkit_engine.assistant.actions import widget_action
from chatkit_engine.assistant.context import TurnContext

Context = RunContextWrapper[TurnContext]


class Nothing(BaseModel):
    """No payload."""


@function_tool
def lock_thread(ctx: Context, reason: str) -> str:
    """Lock the thread."""
    ctx.context.thread.status = LockedStatus(reason=reason)
    return "locked"


@function_tool
def close_thread(ctx: Context, reason: str) -> str:
    """Close the thread."""
    ctx.context.thread.status = ClosedStatus(reason=reason)
    return "closed"


@function_tool(needs_approval=True)
def send_parcel(ctx: Context, city: str) -> str:
    """Send a parcel."""
    return f"sent to {city}"


@function_tool
async def break_stream(ctx: Context) -> str:
    """Stream what cannot be written as JSON."""
    await ctx.context.stream(ClientEffectEvent(name="broken", data={"value": object()}))
    return "broken"


@widget_action("probe.wait", Nothing)
async def wait(context: TurnContext, item: WidgetItem | None, payload: Nothing) -> None:
    """Never end."""
    await context.progress("Waiting")
    await asyncio.Event().wait()


TOOLS = (lock_thread, close_thread, send_parcel, break_stream)
