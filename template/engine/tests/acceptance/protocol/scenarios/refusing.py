"""Turns that fail, are refused, or come at the wrong time."""

from support.protocol.scenarios import on_responses_alone, scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import add, create, op, thread_id


@scenario
def a_model_that_fails(talk: Talk) -> None:
    thread = talk.open("Hello", Reply(status=500))

    talk.ask(add(thread, "Again"), Reply("Hello to you"))


@scenario
def a_stream_that_breaks(talk: Talk) -> None:
    """What the model makes of the tool comes too late for anybody to hear."""
    thread = talk.open("Break it", Reply(calls=[("break_stream", {})]))

    talk.ask(add(thread, "Again"))


@scenario
def a_thread_that_is_locked(talk: Talk) -> None:
    lock = Reply(calls=[("lock_thread", {"reason": "it is being looked at"})])
    thread = talk.open("Lock it", lock, Reply("It is locked"))

    assert talk.refused(add(thread, "Hello?")) == 409
    assert talk.send("threads.get_by_id", thread_id=thread)["status"]["type"] == "locked"


@scenario
def a_thread_that_is_closed(talk: Talk) -> None:
    close = Reply(calls=[("close_thread", {"reason": "it is done"})])
    thread = talk.open("Close it", close, Reply("It is closed"))

    assert talk.refused(add(thread, "Hello?")) == 409
    [listed] = talk.send("threads.list")["data"]
    assert listed["status"]["type"] == "closed"


@scenario
def a_thread_that_is_busy(talk: Talk) -> None:
    reply = Reply("one two", hang_after_words=1)
    with talk.reading(create("Count"), reply, until='one "') as streamed:
        [refused] = talk.ask(add(thread_id(streamed), "Are you there?"))

    assert refused["allow_retry"]


@scenario
def a_message_that_is_blocked(talk: Talk) -> None:
    talk.open("Something forbidden")

    assert not talk.model.requests


@scenario
def an_answer_that_is_taken_back(talk: Talk) -> None:
    thread = talk.open("Tell me", Reply("The secret is out"))

    assert "The secret is out" not in str(talk.items(thread))


@on_responses_alone("it takes five seconds, and the model has no part in it")
def an_action_that_never_ends(talk: Talk) -> None:
    """The front end leaves, and the turn is cancelled after a while."""
    thread = talk.open("Hello", Reply("Hello to you"))
    action = op("threads.custom_action", thread_id=thread, action={"type": "probe.wait"})
    with talk.reading(action, until="Waiting"):
        pass
    talk.wait_for_end()

    talk.ask(add(thread, "Are you there?"), Reply("I am"))
