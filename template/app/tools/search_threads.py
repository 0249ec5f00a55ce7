"""What the user said and was told before."""

from agents import RunContextWrapper, function_tool

from app.chat.context import AssistantContext
from app.store.search import search_messages

MAX_HITS = 5


@function_tool
async def search_threads(ctx: RunContextWrapper[AssistantContext], query: str) -> str:
    """Search the user's own earlier conversations.

    Args:
        query: The words to look for.
    """
    context = ctx.context
    hits = await search_messages(context.database, context.user.id, query, MAX_HITS)
    elsewhere = [hit for hit in hits if hit.thread_id != context.thread.id]
    if not elsewhere:
        return "Nothing was found in earlier conversations."
    return "\n".join(f"- {hit.title or 'Untitled'}: {hit.snippet}" for hit in elsewhere)
