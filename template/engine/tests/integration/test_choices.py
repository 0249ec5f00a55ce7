"""The model and the tool that a message asks for, against what may be chosen."""

import pytest
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, create, events, op, thread_id


@pytest.fixture
def choosy(each_wire: Settings) -> Settings:
    return each_wire.model_copy(update={"llm_models": ["small", "large"]})


def _asking(request: Json, **options: object) -> Json:
    request["params"]["input"]["inference_options"] = options
    return request


async def test_a_model_of_the_list_answers_this_message_alone(
    choosy: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(choosy) as app:
        created = await app.chatkit(_asking(create("Hello"), model="large"))
        await app.chatkit(add(thread_id(events(created.text)), "Go on"))

    assert [request["model"] for request in model_api.requests] == ["large", "fake"]


@pytest.mark.parametrize(
    "options", [{"model": "huge"}, {"tool_choice": {"id": "rm"}}, {"model": "x" * 5_000}]
)
async def test_a_model_not_on_the_list_is_refused_with_the_list(
    choosy: Settings, model_api: FakeModelApi, options: Json
) -> None:
    async with running_app(choosy) as app:
        refused = await app.chatkit(_asking(create("Hello"), **options))
        thread = thread_id(events((await app.chatkit(create("Hello"))).text))
        added = await app.chatkit(_asking(add(thread, "More"), **options))
        listed = await app.chatkit(op("items.list", thread_id=thread))

    assert refused.status_code == added.status_code == 400
    named = "large" if "model" in options else "current_time"
    assert named in refused.json()["detail"]
    assert len(refused.text) < 1_000
    assert len(listed.json()["data"]) == 2
    assert len(model_api.requests) == 1


async def test_a_chosen_tool_is_asked_for_once(choosy: Settings, model_api: FakeModelApi) -> None:
    model_api.script(Reply(calls=[("current_time", {})]), Reply("Noon."))
    async with running_app(choosy) as app:
        request = _asking(create("What time is it?"), tool_choice={"id": "current_time"})
        await app.chatkit(request)

    first, second = [str(request.get("tool_choice")) for request in model_api.requests]
    assert "current_time" in first
    assert "current_time" not in second


async def test_a_choice_that_is_not_offered_any_more_does_not_hinder_a_retry(
    choosy: Settings, model_api: FakeModelApi
) -> None:
    stored = "sqlite:///chat.db"
    before = choosy.model_copy(update={"database_url": stored})
    after = before.model_copy(update={"llm_models": []})
    async with running_app(before) as app:
        created = events((await app.chatkit(_asking(create("Hello"), model="large"))).text)
    async with running_app(after) as app:
        message = created[1]["item"]["id"]
        params = {"thread_id": thread_id(created), "item_id": message}
        retried = await app.chatkit(op("threads.retry_after_item", **params))

    assert "error" not in {event["type"] for event in events(retried.text)}
    assert [request["model"] for request in model_api.requests] == ["large", "fake"]


async def test_a_chosen_tool_is_not_forced_again_when_the_user_has_answered_it(
    choosy: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(choosy) as app:
        questions = [{"kind": "text", "question": "Why?"}]
        model_api.script(Reply(calls=[("ask_user", {"questions": questions})]))
        streamed = await app.ask(
            _asking(create("Ask me"), tool_choice={"id": "ask_user"}, model="large")
        )
        given = {"status": "answered", "answers": {"q1": {"values": ["so"]}}}
        form, thread = streamed[-1]["item"]["id"], thread_id(streamed)
        answered = op("threads.add_structured_input", thread_id=thread, item_id=form, input=given)
        await app.ask(answered)

    first, second = model_api.requests
    assert "ask_user" in str(first["tool_choice"])
    assert "ask_user" not in str(second.get("tool_choice"))
    assert second["model"] == "large"
