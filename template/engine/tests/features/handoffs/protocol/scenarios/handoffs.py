"""A thread that is handed to a specialist, stays there, and comes back."""

from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import add


@scenario
def a_handoff_and_back(talk: Talk) -> None:
    to_writer = Reply(calls=[("transfer_to_writer", {})])
    thread = talk.open("A poem", to_writer, Reply("Roses are red"))
    talk.ask(add(thread, "Another"), Reply("Violets are blue"))
    to_assistant = Reply(calls=[("transfer_to_assistant", {})])
    talk.ask(add(thread, "What time is it?"), to_assistant, Reply("It is late"))

    assert len(talk.model.requests) == 5
    assert len(talk.items(thread)) == 6
