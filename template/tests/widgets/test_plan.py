"""The plan's widget: how it looks, and that its steps can be checked off."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.agents.planner import Plan, PlanStep
from app.widgets.plan import CHECK, plan_as_text, plan_widget
from chatkit_engine.testing import (
    FakeModelApi,
    Json,
    Reply,
    Running,
    actions_of,
    create,
    items_of,
    press,
    tool_call,
)

CAKE = Plan(
    title="A cake",
    steps=[PlanStep(title="Mix", minutes=10), PlanStep(title="Bake", minutes=40)],
)


async def _shown(app: Running, model_api: FakeModelApi) -> Json:
    """Have a plan made, and return the widget that shows it."""
    model_api.script(
        tool_call("make_plan", goal="A cake"), Reply(CAKE.model_dump_json()), Reply("There")
    )
    [widget] = items_of(await app.ask(create("How do I bake a cake?")), "widget")
    return widget


def _checked(item: Json) -> list[bool]:
    return [step["defaultChecked"] for step in item["widget"]["children"][1:-1]]


def test_it_has_a_box_for_each_step_and_the_sum_of_the_minutes() -> None:
    title, *boxes, total = plan_widget(CAKE).model_dump(exclude_none=True)["children"]

    assert title["value"] == "A cake"
    assert [box["label"] for box in boxes] == ["Mix (10 min)", "Bake (40 min)"]
    assert total["value"] == "50 min"


def test_a_text_stays_a_text_whatever_is_in_it() -> None:
    jinja = "{" * 2 + " 1 " + "}" * 2
    tricky = f'"}}, {jinja} </script> \\ 🎂'
    plan = Plan(title=tricky, steps=[PlanStep(title=tricky, minutes=1)])

    title, box, _ = plan_widget(plan).model_dump(exclude_none=True)["children"]

    assert title["value"] == tricky
    assert box["label"] == f"{tricky} (1 min)"


def test_it_is_copied_as_markdown() -> None:
    assert plan_as_text(CAKE) == "**A cake**\n- [ ] Mix (10 min)\n- [ ] Bake (40 min)"


@pytest.mark.parametrize(
    "steps", [[], [{"title": "Mix", "minutes": 0}], [{"title": "Mix"}]], ids=json.dumps
)
def test_what_is_no_plan_is_refused(steps: list[Any]) -> None:
    with pytest.raises(ValidationError):
        Plan.model_validate({"title": "A cake", "steps": steps})


async def test_a_step_is_checked_off_and_on_again_but_no_other(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    plan = await _shown(app_with_model, model_api)

    for done in ([False, True], [False, False]):
        bake = actions_of(plan, CHECK)[1]
        plan = (await app_with_model.chatkit(press(plan, bake))).json()["updated_item"]
        assert _checked(plan) == done

    missing = press(plan, actions_of(plan, CHECK)[0], step=9)
    refused = await app_with_model.chatkit(missing)
    assert refused.status_code == 400
    assert refused.json()["detail"] == "This plan has no such step."
    stored = await app_with_model.items(plan["thread_id"])
    assert _checked(next(item for item in stored if item["type"] == "widget")) == [False, False]
