"""The specialists: who may take over a thread, and the agent that is a tool."""

import pytest

from app import assistant
from app.agents import researcher, translator, writer
from chatkit_engine.testing import (
    FakeModelApi,
    Reply,
    Running,
    add,
    answer,
    create,
    events_of,
    thread_id,
    tool_call,
)

TO_WRITER = tool_call("transfer_to_writer")
TO_RESEARCHER = tool_call("transfer_to_researcher")
TO_ASSISTANT = tool_call("transfer_to_assistant")


async def test_the_assistant_knows_whom_it_may_hand_over_to(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await app_with_model.ask(create("Hello"))

    assert {"transfer_to_writer", "transfer_to_researcher"} <= model_api.offered_tools()
    assert f"- Writer: {writer.DESCRIPTION}" in model_api.instructions()
    assert f"- Researcher: {researcher.DESCRIPTION}" in model_api.instructions()


@pytest.mark.parametrize(
    ("handoff", "instructions"),
    [(TO_WRITER, writer.INSTRUCTIONS), (TO_RESEARCHER, researcher.INSTRUCTIONS)],
    ids=["writer", "researcher"],
)
async def test_a_specialist_answers_and_keeps_the_thread(
    app_with_model: Running, model_api: FakeModelApi, handoff: Reply, instructions: str
) -> None:
    model_api.script(handoff, Reply("Dear Ada"), Reply("Dear Bob"))

    first = await app_with_model.ask(create("Write to Ada"))
    second = await app_with_model.ask(add(thread_id(first), "To Bob instead"))

    assert answer(first).strip() == "Dear Ada"
    assert answer(second).strip() == "Dear Bob"
    assert model_api.instructions().startswith(instructions)


async def test_a_specialist_hands_back(app_with_model: Running, model_api: FakeModelApi) -> None:
    model_api.script(TO_WRITER, Reply("Dear Ada"), TO_ASSISTANT, Reply("It is noon"))
    thread = thread_id(await app_with_model.ask(create("Write to Ada")))

    streamed = await app_with_model.ask(add(thread, "What time is it?"))

    assert answer(streamed).strip() == "It is noon"
    assert model_api.instructions().startswith(assistant.INSTRUCTIONS)


async def test_the_user_is_told_that_the_writer_takes_over_with_the_selected_text(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(TO_WRITER, Reply("Shorter"))

    streamed = await app_with_model.ask(create("Shorten it", {"selected_text": "a long text"}))

    told = [event["text"] for event in events_of(streamed, "progress_update")]
    assert "Writer takes over." in told
    assert "a long text" in model_api.texts()[-2]


async def test_the_translator_answers_the_assistant_and_has_no_tools(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    text = "Into German: good morning"
    model_api.script(tool_call("translate", input=text), Reply("Guten Morgen"), Reply("So"))

    await app_with_model.ask(create("Good morning in German?"))

    assert model_api.instructions(1) == translator.INSTRUCTIONS
    assert model_api.texts(1) == [text]
    assert model_api.offered_tools(1) == set()
    assert model_api.tool_outputs()[0].strip() == "Guten Morgen"
