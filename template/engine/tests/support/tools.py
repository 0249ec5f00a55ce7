"""A feature whose tools succeed, fail and hang, to test what a run makes of them."""

TOOLS = '''
import asyncio
from typing import Any

from agents import FunctionTool, RunContextWrapper, function_tool
from agents.tool_context import ToolContext
from chatkit.types import LockedStatus, StructuredInputFreeform
from pydantic import BaseModel

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.context import TurnContext

done: list[str] = []
gate = asyncio.Event()


class Parcel(BaseModel):
    city: str
    grams: int


@function_tool(needs_approval=True)
async def send_parcel(ctx: RunContextWrapper[TurnContext], parcel: Parcel) -> str:
    """Send a parcel."""
    done.append(f"{ctx.context.user.id}: {parcel.city}")
    if parcel.grams == 13:
        await gate.wait()
    return f"sent {parcel.grams} g to {parcel.city}"


@function_tool
def weigh(ctx: RunContextWrapper[TurnContext], parcel: Parcel) -> str:
    """Weigh a parcel."""
    return f"{parcel.city} weighs {parcel.grams}"


@function_tool
async def broken(ctx: RunContextWrapper[TurnContext]) -> str:
    """Break."""
    raise RuntimeError("a secret of the inside")


@function_tool
async def endless(ctx: RunContextWrapper[TurnContext]) -> str:
    """Never return."""
    await asyncio.Event().wait()
    return "never"


@function_tool
async def ask_browser(ctx: ToolContext[TurnContext]) -> None:
    """Ask the front end."""
    ctx.context.call_client(ctx, "ask_browser", detail="all")


@function_tool(needs_approval=True)
async def ask_both(ctx: ToolContext[TurnContext]) -> None:
    """Ask the user and the front end, once that is approved."""
    await ctx.context.ask(StructuredInputFreeform(id="q1", question="Sure?"))
    ctx.context.call_client(ctx, "ask_browser", detail="all")


@function_tool
async def read_all(ctx: RunContextWrapper[TurnContext]) -> str:
    """Read all there is, to the half of an emoji."""
    return chr(0xD83D) + "x" * 1_000_000


def install(builder: Builder) -> None:
    builder.add_tools(send_parcel, weigh, broken, endless, ask_browser, ask_both, read_all)
'''
