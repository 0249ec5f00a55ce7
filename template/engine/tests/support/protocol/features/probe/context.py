"""Hidden context, sources to cite, notices, and ids."""

from datetime import UTC, datetime
from typing import Literal

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    EntitySource,
    FileSource,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemReplacedEvent,
    URLSource,
)

from chatkit_engine.assistant.context import TurnContext

Context = RunContextWrapper[TurnContext]


@function_tool
async def remember(ctx: Context, text: str) -> str:
    """Keep something from the user, by every event that could tell of it."""
    context = ctx.context
    await context.remember(text)
    item = HiddenContextItem(
        id=context.generate_id("message"),
        thread_id=context.thread.id,
        created_at=datetime.now(UTC),
        content=text,
    )
    await context.stream(ThreadItemAddedEvent(item=item))
    await context.stream(ThreadItemReplacedEvent(item=item))
    return "remembered"


@function_tool
def sources(ctx: Context) -> str:
    """Give one source of each kind to cite."""
    page = URLSource(title="A page", url="https://page.example/a", attribution="Page")
    file = FileSource(title="A file", filename="a.pdf", description="The first one")
    entity = EntitySource(title="A thing", id="thing_1", icon="cube", data={"of": "the front end"})
    return " ".join(ctx.context.cite(source) for source in (page, file, entity))


@function_tool
async def notify(
    ctx: Context, level: Literal["info", "warning", "danger"], message: str, title: str
) -> str:
    """Tell the user something beside the conversation."""
    await ctx.context.notice(level, message, title)
    return "told"


@function_tool
def thread_of_this(ctx: Context) -> str:
    """Say which thread this is, as ChatKit's own helper does."""
    same = ctx.context.generate_id("thread") == ctx.context.thread.id
    return "the same" if same else "another"


TOOLS = (remember, sources, notify, thread_of_this)
