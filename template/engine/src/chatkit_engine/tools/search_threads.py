"""What the user said and was told before."""

from agents import RunContextWrapper, function_tool
from chatkit.types import EntitySource

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only
from chatkit_engine.i18n import _
from chatkit_engine.run.thread_entities import GROUP, ICON, UNTITLED
from chatkit_engine.store.search import SearchHit, search_messages

MAX_HITS = 5
MAX_SHOWN = 100
PROGRESS = _("Searching earlier conversations")
NOTHING = _("Nothing was found in earlier conversations.")
CITE = "Where you use one of these, repeat its mark, such as [1]."


@read_only
@function_tool
async def search_threads(ctx: RunContextWrapper[TurnContext], query: str) -> str:
    """Search the user's own earlier conversations.

    Args:
        query: The words to look for.
    """
    context = ctx.context
    await context.progress(PROGRESS, icon="search")
    title = _("Searched earlier conversations: {words}", words=query[:MAX_SHOWN])
    async with context.step(title, icon="search") as step:
        hits = await search_messages(context.database, context.user.id, query, MAX_HITS)
        sources = [
            (hit, _source(context, hit)) for hit in hits if hit.thread_id != context.thread.id
        ]
        titles = "\n".join(f"- {source.title}" for _hit, source in sources)
        step.content = titles or context.translate(NOTHING)
    if any(hit.untrusted for hit, _source in sources):
        context.mark_untrusted()
    found = [f"- {context.cite(source)} {source.title}: {hit.snippet}" for hit, source in sources]
    return "\n".join([*found, CITE]) if found else NOTHING


def _source(context: TurnContext, hit: SearchHit) -> EntitySource:
    return EntitySource(
        id=hit.thread_id,
        title=hit.title or context.translate(UNTITLED),
        icon=ICON,
        group=context.translate(GROUP),
        interactive=True,
        data={"item_id": hit.item_id},
    )
