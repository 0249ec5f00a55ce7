"""Takes the user to another page of the same site."""

import re

from agents import RunContextWrapper, function_tool

from chatkit_engine import TurnContext, front_end_has

EFFECT = "open_page"

# Exactly one leading slash, because `//` and `/\` lead to another host.
PATH = re.compile(r"/(?![/\\])[^\s\\\x00-\x1f\x7f]{0,2000}")


@function_tool(is_enabled=front_end_has(EFFECT))
async def open_page(ctx: RunContextWrapper[TurnContext], path: str) -> str:
    """Open another page of this site for the user.

    Args:
        path: The page's path on this site, such as /courses/3?lesson=2.
    """
    if not PATH.fullmatch(path):
        return "The path must begin with one slash, and have no spaces, scheme or host."
    await ctx.context.effect(EFFECT, path=path)
    return "The page is being opened."
