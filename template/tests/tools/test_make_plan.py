"""The tool `make_plan`: a typed result, and a widget that shows it."""

import json

from chatkit_engine.testing import (
    FakeModelApi,
    Reply,
    Running,
    answer,
    create,
    items_of,
    thread_id,
    tool_call,
)

PLAN = {
    "title": "A cake",
    "steps": [{"title": "Mix", "minutes": 10}, {"title": "Bake", "minutes": 40}],
}
PLANNED = Reply(json.dumps(PLAN))


async def test_a_plan_is_made_shown_and_given_to_the_model(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("make_plan", goal="Bake a cake"), PLANNED, Reply("Here it is"))

    streamed = await app_with_model.ask(create("How do I bake a cake?"))

    assert model_api.texts(1) == ["Bake a cake"]
    assert json.loads(model_api.tool_outputs()[0]) == PLAN
    [shown] = items_of(streamed, "widget")
    stored = await app_with_model.items(thread_id(streamed))
    assert [step["label"] for step in shown["widget"]["children"][1:-1]] == [
        "Mix (10 min)",
        "Bake (40 min)",
    ]
    assert shown["copy_text"].startswith("**A cake**")
    assert shown["id"] in [item["id"] for item in stored]


async def test_a_plain_client_gets_the_plan_as_a_value(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("make_plan", goal="Bake a cake"), PLANNED, Reply("Here it is"))

    answered = await app_with_model.chat("How do I bake a cake?")

    assert answered["results"] == [{"tool": "make_plan", "data": PLAN}]


async def test_a_planner_that_answers_wrongly_is_asked_again(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    empty = Reply('{"title": "A cake", "steps": []}')
    model_api.script(tool_call("make_plan", goal="A cake"), empty, PLANNED, Reply("Here it is"))

    streamed = await app_with_model.ask(create("How do I bake a cake?"))

    assert "does not fit the schema" in model_api.texts(2)[-1]
    assert answer(streamed).strip() == "Here it is"


async def test_the_turn_ends_with_an_error_when_there_is_no_plan_after_three_tries(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("make_plan", goal="A cake"), *[Reply("A cake is easy")] * 3)

    streamed = await app_with_model.ask(create("How do I bake a cake?"))

    assert streamed[-1]["type"] == "error"
    assert items_of(streamed, "widget") == []
