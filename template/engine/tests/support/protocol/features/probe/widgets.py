"""Widgets that are streamed, changed and replaced."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemUpdatedEvent,
    WidgetComponentUpdated,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_engine.assistant.actions import widget_action
from chatkit_engine.assistant.context import TurnContext

Context = RunContextWrapper[TurnContext]
RATE = "probe.rate"


class Rating(BaseModel):
    """From 1 to 5 stars."""

    stars: int


@function_tool
async def tell_story(ctx: Context) -> str:
    """Write a text in a widget, piece by piece, and then add a button."""
    await ctx.context.stream_widget(_story(), copy_text="Once upon a time")
    return "told"


@function_tool
async def show_stars(ctx: Context) -> str:
    """Show a widget, and change one part of it."""
    context = ctx.context
    item = WidgetItem(**_new(context), widget=_card([_text("How was it?")]))
    await context.stream(ThreadItemAddedEvent(item=item))
    changed = WidgetComponentUpdated(
        component_id="text", component=DynamicWidgetComponent.model_validate(_text("How good?"))
    )
    await context.stream(ThreadItemUpdatedEvent(item_id=item.id, update=changed))
    await context.show(_card([_text("How good?"), _button()]))
    return "shown"


@widget_action(RATE, Rating)
async def rate(context: TurnContext, item: WidgetItem | None, payload: Rating) -> None:
    """Say thank you in the widget's place, and have the model go on."""
    if item is not None:
        await context.replace(item, _card([_text(f"{payload.stars} stars. Thank you!")]))
    context.let_model_answer()


async def _story() -> AsyncGenerator[DynamicWidgetRoot, None]:
    for text in ("Once", "Once upon", "Once upon a time"):
        yield _card([_text(text, streaming=True)])
    yield _card([_text("Once upon a time"), _button()])


def _card(children: list[dict[str, Any]]) -> DynamicWidgetRoot:
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": children})


def _text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "Text", "id": "text", "value": value, **more}


def _button() -> dict[str, Any]:
    action = {"type": RATE, "payload": {"stars": 5}}
    return {"type": "Button", "label": "Five stars", "onClickAction": action}


def _new(context: TurnContext) -> dict[str, Any]:
    return {
        "id": context.generate_id("message"),
        "thread_id": context.thread.id,
        "created_at": datetime.now(UTC),
    }


TOOLS = (tell_story, show_stars)
