"""Conversations that wait for the user or the front end: forms, client tools and approvals."""

from typing import Any

from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import Json, add, items_of, op

QUESTIONS = [
    {"kind": "choice", "question": "Which size?", "options": ["S", "L"], "multiple": False},
    {"kind": "text", "question": "Anything else?"},
]


def _form(talk: Talk) -> tuple[str, Json]:
    thread = talk.open("A pizza", Reply(calls=[("ask_user", {"questions": QUESTIONS})]))
    return thread, talk.items(thread)[-1]


def _give(thread: str, form: Json, **given: Any) -> Json:
    return op("threads.add_structured_input", thread_id=thread, item_id=form["id"], input=given)


@scenario
def a_form_is_answered(talk: Talk) -> None:
    thread, form = _form(talk)
    answers = {"q1": {"values": ["L"]}, "q2": {"skipped": True}}

    talk.ask(_give(thread, form, status="answered", answers=answers), Reply("A large one"))

    assert "Which size?: L" in talk.model.texts()[-1]
    assert talk.refused(_give(thread, form, status="answered", answers=answers)) == 409
    assert talk.items(thread)[1]["status"] == "answered"


@scenario
def a_form_is_skipped(talk: Talk) -> None:
    thread, form = _form(talk)

    talk.ask(_give(thread, form, status="skipped", answers={}), Reply("As you like"))

    assert "skipped" in talk.model.texts()[-1]
    assert talk.items(thread)[1]["status"] == "skipped"


@scenario
def a_tool_of_the_front_end(talk: Talk) -> None:
    call = Reply(calls=[("read_page", {})])
    thread = talk.open("What is on this page?", call, client_tools=["read_page"])
    output = {"title": "Plums", "text": "Plums are blue."}

    talk.ask(
        op("threads.add_client_tool_output", thread_id=thread, result=output),
        Reply("It is about plums"),
    )

    assert "Plums are blue." in str(talk.model.requests[-1])
    assert talk.items(thread)[1]["output"] == output
    late = op("threads.add_client_tool_output", thread_id=thread, result=output)
    assert talk.refused(late) == 409


@scenario
def a_call_that_is_approved(talk: Talk) -> None:
    thread, decision = _parcel(talk, "confirm")

    talk.ask(decision, Reply("It is on its way"))

    assert "sent to Rome" in str(talk.model.requests[-1])
    assert talk.refused(decision) == 409
    talk.ask(add(thread, "Thanks"), Reply("You are welcome"))


@scenario
def a_call_that_is_refused(talk: Talk) -> None:
    _, decision = _parcel(talk, "cancel")

    talk.ask(decision, Reply("I did not send it"))

    assert "sent to Rome" not in str(talk.model.requests[-1])
    assert "The user refused" in str(talk.model.requests[-1])


def _parcel(talk: Talk, button: str) -> tuple[str, Json]:
    """Have a parcel wait for approval; return the thread, and what a button of its widget sends."""
    thread = talk.open("Send it to Rome", Reply(calls=[("send_parcel", {"city": "Rome"})]))
    [shown] = items_of(talk.exchanges[0].events or [], "widget")
    action = shown["widget"][button]["action"]
    press = {"type": action["type"], "payload": action["payload"]}
    return thread, op("threads.custom_action", thread_id=thread, item_id=shown["id"], action=press)
