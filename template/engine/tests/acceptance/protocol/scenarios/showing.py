"""Conversations with more than text: widgets, steps, tasks, notices, citations and images."""

import json

from support.images import FINAL, encoded, image_events
from support.protocol.scenarios import on_responses_alone, scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import Json, add, create, items_of, op

PLAN = {"title": "A trip", "steps": [{"title": "Pack", "minutes": 20}]}


def _press(thread: str, item: Json, action: str, **payload: object) -> Json:
    pressed = {"type": action, "payload": payload}
    return op("threads.custom_action", thread_id=thread, item_id=item["id"], action=pressed)


@scenario
def a_plan_to_check_off(talk: Talk) -> None:
    call = Reply(calls=[("make_plan", {"goal": "A trip"})])
    thread = talk.open("Plan a trip", call, Reply(json.dumps(PLAN)), Reply("There it is"))
    plan = next(item for item in talk.items(thread) if item["type"] == "widget")
    check = {"type": "plan.check", "payload": {"step": 0, "done": True}}

    changed = talk.send(
        "threads.sync_custom_action", thread_id=thread, item_id=plan["id"], action=check
    )

    assert changed["updated_item"]["id"] == plan["id"]
    assert changed["updated_item"] in talk.items(thread)


@scenario
def a_widget_that_is_written(talk: Talk) -> None:
    thread = talk.open("A story", Reply(calls=[("tell_story", {})]), Reply("The end"))
    story = next(item for item in talk.items(thread) if item["type"] == "widget")

    talk.ask(_press(thread, story, "probe.rate", stars=5), Reply("How kind"))

    assert "Thank you!" in " ".join(talk.model.texts())
    assert talk.refused(_press(thread, story, "probe.rate", stars="many")) == 400


@scenario
def a_widget_of_which_a_part_changes(talk: Talk) -> None:
    thread = talk.open("Ask me", Reply(calls=[("show_stars", {})]), Reply("Please"))

    assert [item["type"] for item in talk.items(thread)].count("widget") == 1


@scenario
def a_search_with_citations(talk: Talk) -> None:
    talk.open("The code word is plum", Reply("I see"))

    thread = talk.open(
        "What was it?",
        Reply(calls=[("search_threads", {"query": "plum"})]),
        Reply("It was plum [1]"),
    )

    answer = talk.items(thread)[-1]
    assert answer["content"][0]["annotations"][0]["source"]["type"] == "entity"


@scenario
def sources_of_every_kind(talk: Talk) -> None:
    thread = talk.open(
        "What says so?", Reply(calls=[("sources", {})]), Reply("A [1], a [2] and a [3]")
    )

    annotations = talk.items(thread)[-1]["content"][0]["annotations"]
    assert [each["source"]["type"] for each in annotations] == ["url", "file", "entity"]


@scenario
def a_citation_of_the_models_own(talk: Talk) -> None:
    """Chat Completions sends it at the end of the answer."""
    page = {
        "type": "url_citation",
        "url": "https://page.example/b",
        "title": "Another page",
        "start_index": 0,
        "end_index": 5,
    }
    thread = talk.open("Look it up", Reply("It is so", annotations=[page]))

    [annotation] = talk.items(thread)[-1]["content"][0]["annotations"]
    assert annotation["source"]["url"] == page["url"]


@on_responses_alone("Chat Completions has no citations of files")
def files_that_the_model_cites(talk: Talk) -> None:
    file = {"type": "file_citation", "file_id": "f1", "filename": "a.pdf", "index": 5}
    made = {
        "type": "container_file_citation",
        "container_id": "c1",
        "file_id": "f2",
        "filename": "b.csv",
        "start_index": 0,
        "end_index": 5,
    }

    thread = talk.open("Read them", Reply("It is so", annotations=[file, made]))

    annotations = talk.items(thread)[-1]["content"][0]["annotations"]
    assert [each["source"]["filename"] for each in annotations] == ["a.pdf", "b.csv"]


@scenario
def reasoning(talk: Talk) -> None:
    thread = talk.open("Think", Reply("It is so", reasoning="Is it so? It is."))

    workflow = talk.items(thread)[1]["workflow"]
    assert workflow["tasks"][0]["content"].strip() == "Is it so? It is."


@scenario
def tasks_of_every_kind(talk: Talk) -> None:
    thread = talk.open(
        "Work", Reply(calls=[("work", {})]), Reply(calls=[("finish", {})]), Reply("Done")
    )
    talk.ask(add(thread, "What did you do?"), Reply("All of it"))

    kinds = [item["type"] for item in talk.items(thread)]
    assert kinds[1:5] == ["workflow", "task", "end_of_turn", "assistant_message"]
    assert "Thought." in " ".join(talk.model.texts())


@scenario
def notices_and_an_effect(talk: Talk) -> None:
    notices = [
        ("notify", {"level": level, "message": f"It is *{level}*", "title": "Note"})
        for level in ("info", "warning", "danger")
    ]
    talk.open(
        "Tell me",
        *(Reply(calls=[notice]) for notice in notices),
        Reply(calls=[("open_page", {"path": "/plums"})]),
        Reply("I told you"),
        client_tools=["open_page"],
    )


@scenario
def hidden_context(talk: Talk) -> None:
    remember = Reply(calls=[("remember", {"text": "the cat is out"})])
    streamed = talk.ask(create("Remember it"), remember, Reply("I will"))
    thread = streamed[0]["thread"]["id"]
    talk.ask(add(thread, "What was it?"), Reply("I may not say"))
    talk.items(thread)
    talk.send("threads.get_by_id", thread_id=thread)

    assert "the cat is out" in " ".join(talk.model.texts())
    assert "the cat is out" not in str([exchange.line for exchange in talk.exchanges])
    assert not items_of(streamed, "hidden_context_item")


@scenario
def ids_of_the_sdks_helper(talk: Talk) -> None:
    talk.open("Which thread?", Reply(calls=[("thread_of_this", {})]), Reply("This one"))

    assert "the same" in str(talk.model.requests[-1])


@on_responses_alone("Chat Completions has no images in its answers")
def a_generated_image(talk: Talk) -> None:
    drawn = Reply("Here it is.", events=image_events(FINAL, "a red circle"))
    streamed = talk.ask(create("Draw a circle"), drawn)
    [item] = items_of(streamed, "generated_image")
    talk.ask(add(item["thread_id"], "Is it red?"), Reply("It is"))

    assert talk.http.get(item["image"]["url"]).content == FINAL
    assert encoded(FINAL) in str(talk.model.requests[-1])
