"""What the user said and was told before."""

from agents import RunContextWrapper, function_tool
from chatkit.types import EntitySource

from app.chat.context import AssistantContext
from app.store.search import SearchHit, search_messages

MAX_HITS = 5
MAX_SHOWN = 100
CITE = "Where you use one of these, repeat its mark, such as [1]."


@function_tool
async def search_threads(ctx: RunContextWrapper[AssistantContext], query: str) -> str:
    """Search the user's own earlier conversations.

    Args:
        query: The words to look for.
    """
    context = ctx.context
    await context.progress("Searching earlier conversations", icon="search")
    async with context.step(
        f"Searched earlier conversations: {query[:MAX_SHOWN]}", icon="search"
    ) as step:
        hits = await search_messages(context.database, context.user.id, query, MAX_HITS)
        elsewhere = [hit for hit in hits if hit.thread_id != context.thread.id]
        step.content = "\n".join(f"- {_title(hit)}" for hit in elsewhere) or "Nothing was found."
    if not elsewhere:
        return "Nothing was found in earlier conversations."
    found = [f"- {context.cite(_source(hit))} {_title(hit)}: {hit.snippet}" for hit in elsewhere]
    return "\n".join([*found, CITE])


def _title(hit: SearchHit) -> str:
    return hit.title or "Untitled"


def _source(hit: SearchHit) -> EntitySource:
    return EntitySource(
        id=hit.thread_id,
        title=_title(hit),
        icon="book-clock",
        group="Conversations",
        interactive=True,
        data={"item_id": hit.item_id},
    )
