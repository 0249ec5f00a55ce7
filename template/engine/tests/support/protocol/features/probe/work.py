"""Workflows and tasks of every kind, and the end of a turn."""

from datetime import UTC, datetime
from typing import Any

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    CustomSummary,
    CustomTask,
    EndOfTurnItem,
    FileSource,
    FileTask,
    ImageTask,
    SearchTask,
    TaskItem,
    ThoughtTask,
    ThreadItemDoneEvent,
    URLSource,
)

from chatkit_engine.assistant.context import TurnContext

Context = RunContextWrapper[TurnContext]
PAGE = URLSource(title="A page", url="https://page.example/a")
FILE = FileSource(title="A file", filename="a.pdf")


@function_tool
async def work(ctx: Context) -> str:
    """Show a workflow with a task of every kind, and close it with a summary."""
    context = ctx.context
    for title in ("Thinking", "Thinking again"):
        async with context.step(title, icon="lightbulb") as step:
            step.content = "Thought."
    await context.add_workflow_task(
        SearchTask(title="Searching", title_query="a", queries=["a", "b"], sources=[PAGE])
    )
    await context.add_workflow_task(FileTask(title="Reading", sources=[FILE]))
    await context.add_workflow_task(ImageTask(title="Drawing", status_indicator="complete"))
    await context.add_workflow_task(ThoughtTask(title="Thinking", content="Is it enough?"))
    await context.end_workflow(CustomSummary(title="Worked", icon="check"), expanded=True)
    return "worked"


@function_tool
async def finish(ctx: Context) -> str:
    """Show a separate task, and mark the end of the turn."""
    context = ctx.context
    task = CustomTask(title="Finishing", content="All is done.", icon="check")
    await context.stream(ThreadItemDoneEvent(item=TaskItem(**_new(context), task=task)))
    await context.stream(ThreadItemDoneEvent(item=EndOfTurnItem(**_new(context))))
    return "finished"


def _new(context: TurnContext) -> dict[str, Any]:
    return {
        "id": context.generate_id("task"),
        "thread_id": context.thread.id,
        "created_at": datetime.now(UTC),
    }


TOOLS = (work, finish)
