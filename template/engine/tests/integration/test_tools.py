"""The core's tools that show more than text: progress, workflows, citations and client effects."""

import pytest
from support.app import Running

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, create, items_of, op, thread_id

CAN_OPEN = {"client_tools": ["open_page"]}


async def _say_earlier(app: Running, text: str, title: str) -> str:
    thread = thread_id(await app.ask(create(text)))
    await app.chatkit(op("threads.update", thread_id=thread, title=title))
    return thread


def _updates(streamed: list[Json], kind: str) -> list[Json]:
    updates = (event["update"] for event in streamed if event["type"] == "thread.item.updated")
    return [update for update in updates if update["type"] == kind]


async def test_a_search_shows_its_progress_and_cites_what_it_found(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    earlier = await _say_earlier(app_with_model, "The zebra eats grass", "About zebras")
    model_api.script(
        Reply(calls=[("search_threads", {"query": "zebra"})]), Reply("Grass, as you said [1] .")
    )

    streamed = await app_with_model.ask(create("What do zebras eat?"))

    progress = [event for event in streamed if event["type"] == "progress_update"]
    assert progress[0]["text"] == "Searching earlier conversations"
    [workflow] = items_of(streamed, "workflow")
    assert [task["status_indicator"] for task in workflow["workflow"]["tasks"]] == ["complete"]
    assert "About zebras" in workflow["workflow"]["tasks"][0]["content"]
    assert len(_updates(streamed, "workflow.task.updated")) == 1
    added = _updates(streamed, "assistant_message.content_part.annotation_added")
    assert added[0]["annotation"]["source"]["id"] == earlier
    [message] = items_of(streamed, "assistant_message")
    [annotation] = message["content"][0]["annotations"]
    assert annotation["source"]["title"] == "About zebras"
    assert annotation["index"] == message["content"][0]["text"].index("[1]") + 3
    assert (await app_with_model.items(thread_id(streamed)))[-1] == message


async def test_the_searches_of_a_turn_are_steps_of_one_workflow(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    searches = [("search_threads", {"query": query}) for query in "abc"]
    model_api.script(Reply(calls=searches), Reply("Nothing"))

    streamed = await app_with_model.ask(create("Look around"))

    [workflow] = items_of(streamed, "workflow")
    tasks = workflow["workflow"]["tasks"]
    assert [task["title"][-1] for task in tasks] == ["a", "b", "c"]
    assert {task["status_indicator"] for task in tasks} == {"complete"}
    kinds = [item["type"] for item in await app_with_model.items(thread_id(streamed))]
    assert kinds == ["user_message", "workflow", "assistant_message"]


async def test_a_page_of_the_site_is_opened_by_the_front_end(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    path = "/courses/3?lesson=2#loops"
    model_api.script(Reply(calls=[("open_page", {"path": path})]), Reply("There you are"))

    streamed = await app_with_model.ask(create("Take me to loops", CAN_OPEN))

    [effect] = [event for event in streamed if event["type"] == "client_effect"]
    assert (effect["name"], effect["data"]) == ("open_page", {"path": path})


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/a b",
        "/a\n",
        "",
        "courses",
    ],
)
async def test_no_other_site_is_opened(
    app_with_model: Running, model_api: FakeModelApi, path: str
) -> None:
    model_api.script(Reply(calls=[("open_page", {"path": path})]), Reply("I cannot"))

    streamed = await app_with_model.ask(create("Take me there", CAN_OPEN))

    assert "client_effect" not in [event["type"] for event in streamed]
    assert "must begin with one slash" in model_api.requests[1]["input"][-1]["output"]
