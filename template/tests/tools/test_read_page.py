"""The tool `read_page`: the front end is asked, and its answer goes to the model."""

from chatkit_engine.testing import (
    FakeModelApi,
    Reply,
    Running,
    answer,
    client_tool_output,
    create,
    items_of,
    thread_id,
    tool_call,
)

CAN_READ = {"client_tools": ["read_page"]}
PAGE = {"title": "Loops", "text": "A loop repeats."}


async def _asked(app: Running, model_api: FakeModelApi) -> str:
    """Have the model call the tool, and return the thread, which waits for the front end."""
    model_api.script(tool_call("read_page"))
    streamed = await app.ask(create("What is this page about?", CAN_READ))
    [call] = items_of(streamed, "client_tool_call")
    assert (call["name"], call["status"]) == ("read_page", "pending")
    return thread_id(streamed)


async def test_the_model_answers_with_what_the_front_end_has_read(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _asked(app_with_model, model_api)
    model_api.script(Reply("It is about loops"))

    streamed = await app_with_model.ask(client_tool_output(thread, PAGE))

    assert "A loop repeats." in model_api.tool_outputs()[-1]
    assert answer(streamed).strip() == "It is about loops"


async def test_an_answer_that_is_no_page_is_refused(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _asked(app_with_model, model_api)

    refused = await app_with_model.chatkit(client_tool_output(thread, {"title": "Loops"}))

    assert refused.status_code == 400
    assert len(model_api.requests) == 1
