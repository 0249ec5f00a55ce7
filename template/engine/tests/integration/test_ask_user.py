"""Questions that the assistant asks in a form."""

from typing import Any

import pytest
from support.app import Running

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, create, items_of, op, thread_id

QUESTIONS = [
    {"kind": "choice", "question": "Which size?", "options": ["S", "L", "S"], "multiple": False},
    {"kind": "choice", "question": "Which toppings?", "options": ["a", "b"], "multiple": True},
    {"kind": "text", "question": "Anything else?"},
]


def _asks(questions: list[Json]) -> Reply:
    return Reply(calls=[("ask_user", {"questions": questions})])


async def _asked(app: Running, model_api: FakeModelApi) -> tuple[str, Json]:
    model_api.script(_asks(QUESTIONS))
    streamed = await app.ask(create("A pizza, please"))
    [form] = items_of(streamed, "structured_input")
    assert streamed[-1]["item"] == form
    return thread_id(streamed), form


def _answer(thread: str, form: Json, status: str, **values: list[str]) -> Json:
    answers = {name: {"values": value} for name, value in values.items()}
    given = {"status": status, "answers": answers}
    return op("threads.add_structured_input", thread_id=thread, item_id=form["id"], input=given)


async def test_the_questions_end_the_turn_and_wait(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread, form = await _asked(app_with_model, model_api)

    assert len(model_api.requests) == 1
    assert form["status"] == "pending"
    assert [each["type"] for each in form["inputs"]] == [
        "multiple_choice",
        "multiple_choice",
        "freeform",
    ]
    assert form["inputs"][0]["options"] == [{"value": "S"}, {"value": "L"}]
    assert (await app_with_model.items(thread))[-1] == form


async def test_the_answers_reach_the_model_after_the_call_that_asked(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread, form = await _asked(app_with_model, model_api)

    streamed = await app_with_model.ask(
        _answer(thread, form, "answered", q1=["L", "S"], q2=["a", "own"], q3=["no"])
    )

    [replaced] = items_of(streamed, "structured_input", "thread.item.replaced")
    assert replaced["status"] == "answered"
    kinds = [item.get("type") for item in model_api.requests[-1]["input"]]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    told = model_api.texts()[-1]
    assert "Which size?: L\n" in told
    assert "Which toppings?: a, own" in told
    assert "Anything else?: no" in told


@pytest.mark.parametrize(
    ("status", "values", "told"),
    [
        ("skipped", {}, ["Which size?: skipped", "Anything else?: skipped"]),
        ("answered", {"q3": ["no"]}, ["Which size?: skipped", "Anything else?: no"]),
        ("answered", {"q1": ["L"], "q9": ["?"]}, ["Which size?: L", "Which toppings?: skipped"]),
    ],
)
async def test_unanswered_questions_are_reported_as_skipped(
    app_with_model: Running,
    model_api: FakeModelApi,
    status: str,
    values: dict[str, Any],
    told: list[str],
) -> None:
    thread, form = await _asked(app_with_model, model_api)

    await app_with_model.ask(_answer(thread, form, status, **values))

    assert all(line in model_api.texts()[-1] for line in told)
    assert (await app_with_model.items(thread))[1]["status"] == status


async def test_questions_are_answered_once(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread, form = await _asked(app_with_model, model_api)
    await app_with_model.ask(_answer(thread, form, "answered", q1=["L"]))

    again = await app_with_model.chatkit(_answer(thread, form, "answered", q1=["S"]))

    assert again.status_code == 409
    assert (await app_with_model.items(thread))[1]["inputs"][0]["answer"]["values"] == ["L"]


async def test_a_message_in_place_of_the_answers_is_answered(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread, _ = await _asked(app_with_model, model_api)
    model_api.script(Reply("As you like"))

    await app_with_model.ask(add(thread, "Forget it"))

    assert "Which size?: unanswered" in model_api.texts()[-2]
    assert model_api.texts()[-1] == "Forget it"


@pytest.mark.parametrize(
    "questions",
    [
        [],
        QUESTIONS * 2,
        [{"kind": "text", "question": ""}],
        [{"kind": "text", "question": "x" * 501}],
        [{"kind": "choice", "question": "Which?", "options": ["a"], "multiple": False}],
    ],
)
async def test_invalid_questions_are_not_asked(
    app_with_model: Running, model_api: FakeModelApi, questions: list[Json]
) -> None:
    model_api.script(_asks(questions), Reply("Then I guess"))

    streamed = await app_with_model.ask(create("A pizza, please"))

    assert items_of(streamed, "structured_input") == []
    assert "do not fit" in model_api.requests[1]["input"][-1]["output"]


async def test_the_demo_model_asks_in_a_form(app: Running) -> None:
    streamed = await app.ask(create("Ask me: What is your name?"))

    [form] = items_of(streamed, "structured_input")
    assert [each["question"] for each in form["inputs"]] == ["What is your name?"]


async def test_an_answer_beyond_the_budget_is_refused_and_the_question_goes_on_waiting(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread, form = await _asked(app_with_model, model_api)

    refused = await app_with_model.chatkit(_answer(thread, form, "answered", q3=["x" * 200_000]))

    assert refused.status_code == 413
    assert len(model_api.requests) == 1
    assert (await app_with_model.items(thread))[-1]["status"] == "pending"
