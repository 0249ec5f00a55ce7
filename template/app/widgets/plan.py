"""The widget of a plan: a list of steps that the user can check off."""

from pathlib import Path
from typing import Any, cast

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic import BaseModel

from app.agents.planner import Plan, PlanStep
from chatkit_engine import BadRequest, TurnContext, _, sync_action

CHECK = "plan.check"

WIDGET = WidgetTemplate.from_file(str(Path(__file__).with_name("plan.widget")))


class CheckPayload(BaseModel):
    """The step, counted from 0, and whether it is done."""

    step: int
    done: bool


def plan_widget(plan: Plan) -> DynamicWidgetRoot:
    """Return the widget of a plan with no step done yet."""
    data = {
        "title": plan.title,
        "steps": [_label(step) for step in plan.steps],
        "total": f"{sum(step.minutes for step in plan.steps)} min",
        "action": CHECK,
    }
    return WIDGET.build(data)


def plan_as_text(plan: Plan) -> str:
    """Return the plan as Markdown, for the clipboard."""
    return "\n".join([f"**{plan.title}**", *(f"- [ ] {_label(step)}" for step in plan.steps)])


@sync_action(CHECK, CheckPayload)
async def check_step(
    context: TurnContext, item: WidgetItem | None, payload: CheckPayload
) -> WidgetItem:
    """Check a step off, or on again.

    The stored widget says which steps there are, because a request may name any number.
    """
    widget = item.widget.model_dump(exclude_none=True) if item else {}
    boxes = [each for each in _children(widget) if _action(each).get("type") == CHECK]
    if item is None or not 0 <= payload.step < len(boxes):
        raise BadRequest(_("This plan has no such step."))
    box = boxes[payload.step]
    box["defaultChecked"] = payload.done
    _action(box)["payload"]["done"] = not payload.done
    return item.model_copy(update={"widget": DynamicWidgetRoot.model_validate(widget)})


def _label(step: PlanStep) -> str:
    return f"{step.title} ({step.minutes} min)"


def _children(widget: dict[str, Any]) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], widget.get("children") or [])


def _action(component: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], component.get("onChangeAction") or {})
