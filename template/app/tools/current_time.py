"""Tells the time where the user is."""

from datetime import datetime

from agents import RunContextWrapper, function_tool

from chatkit_engine import TurnContext, read_only


@read_only
@function_tool
def current_time(ctx: RunContextWrapper[TurnContext]) -> str:
    """Tell the current date and time in the user's own time zone."""
    zone = ctx.context.request_context.zone
    return f"{datetime.now(zone):%A, %d %B %Y, %H:%M} ({zone.key})"
