"""Conversations about threads and messages: create, list, rename, rate, retry and delete."""

from support.protocol.scenarios import scenario
from support.protocol.talk import Talk

from chatkit_engine.testing.fake_model_api import Reply
from chatkit_engine.testing.requests import Json, add, create, message, op, thread_id


@scenario
def messages(talk: Talk) -> None:
    thread = talk.open("Hello", Reply("Hello to you"))
    talk.ask(add(thread, "How are you?"), Reply("I am well"))

    assert talk.model.texts() == ["Hello", "Hello to you ", "How are you?"]
    assert [item["type"] for item in talk.items(thread)] == [
        "user_message",
        "assistant_message",
    ] * 2
    assert talk.send("threads.get_by_id", thread_id=thread)["items"]["data"]


@scenario
def pages(talk: Talk) -> None:
    threads = [talk.open(f"Number {number}", Reply("Yes")) for number in range(3)]

    first = talk.send("threads.list", limit=2)
    rest = talk.send("threads.list", limit=2, after=first["after"], order="desc")
    assert [each["id"] for each in first["data"] + rest["data"]] == threads[::-1]
    oldest = talk.send("threads.list", limit=1, order="asc")
    assert oldest["data"][0]["id"] == threads[0]
    newest = talk.send("items.list", thread_id=threads[0], limit=1, order="desc")
    before = talk.send("items.list", thread_id=threads[0], limit=1, after=newest["after"])
    assert before["data"][0]["type"] == "user_message"


@scenario
def name_judge_and_delete(talk: Talk) -> None:
    thread = talk.open("Hello", Reply("Hello to you"))
    answer = talk.items(thread)[1]["id"]

    talk.send("threads.update", thread_id=thread, title="Greetings")
    for kind in ("positive", "negative"):
        talk.send("items.feedback", thread_id=thread, item_ids=[answer], kind=kind)
    assert talk.stored("SELECT kind FROM feedback WHERE user_id = ?") == ["negative"]
    talk.send("threads.delete", thread_id=thread)
    assert talk.refused(add(thread, "Are you there?")) == 404


@scenario
def retry(talk: Talk) -> None:
    thread = talk.open("Tell me a number", Reply("One"))
    question = talk.items(thread)[0]["id"]

    talk.ask(op("threads.retry_after_item", thread_id=thread, item_id=question), Reply("Two"))

    assert talk.model.texts() == ["Tell me a number"]
    assert "One" not in str(talk.items(thread))


@scenario
def quote_model_and_tool(talk: Talk) -> None:
    said = message("What does this mean?") | {
        "quoted_text": "To be or not to be",
        "inference_options": {"model": "another", "tool_choice": {"id": "current_time"}},
    }

    talk.ask(op("threads.create", input=said), Reply("It is a question"))

    assert talk.model.requests[0]["model"] == "another"
    assert "current_time" in str(talk.model.requests[0]["tool_choice"])
    assert "To be or not to be" in talk.model.texts()[-1]


@scenario
def tags(talk: Talk) -> None:
    earlier = talk.open("The code word is plum", Reply("I see"))
    talk.send("threads.update", thread_id=earlier, title="Code words")
    tag: Json = {"type": "input_tag", "id": earlier, "text": "Code words", "data": {}}
    said = message("What was it in ")
    said["content"].append(tag | {"group": "Conversations", "interactive": True})

    talk.ask(op("threads.create", input=said), Reply("Plum"))

    assert "The code word is plum" in talk.model.texts()[-1]


@scenario
def an_answer_that_is_cut_off(talk: Talk) -> None:
    reply = Reply("one two three four", hang_after_words=3)
    with talk.reading(create("Count"), reply, until='three "') as streamed:
        thread = thread_id(streamed)
    talk.wait_for_end()

    assert talk.model.dropped.wait(5)
    talk.ask(add(thread, "Go on"), Reply("four"))
    assert "cut off" in " ".join(talk.model.texts())
    assert "cut off" not in str(talk.items(thread))


@scenario
def speech(talk: Talk) -> None:
    talk.model.script(Reply("what was said"))

    heard = talk.send("input.transcribe", audio_base64="AAAA", mime_type="audio/webm;codecs=opus")

    assert heard == {"text": "what was said"}
