"""The tool `open_page`: the front end opens the page."""

from chatkit_engine.testing import FakeModelApi, Reply, Running, create, events_of, tool_call

CAN_OPEN = {"client_tools": ["open_page"]}


async def test_the_front_end_is_told_which_page_to_open(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("open_page", path="/courses/3?lesson=2"), Reply("Here you are"))

    streamed = await app_with_model.ask(create("Open lesson 2", CAN_OPEN))

    [effect] = events_of(streamed, "client_effect")
    assert effect["name"] == "open_page"
    assert effect["data"] == {"path": "/courses/3?lesson=2"}


async def test_it_leads_to_no_other_site(app_with_model: Running, model_api: FakeModelApi) -> None:
    paths = ["https://evil.example", "//evil.example", "/\\evil.example", "/a b", ""]
    calls = [("open_page", {"path": path}) for path in paths]
    model_api.script(Reply(calls=calls), Reply("I cannot"))

    streamed = await app_with_model.ask(create("Open it", CAN_OPEN))

    assert events_of(streamed, "client_effect") == []
    assert len(model_api.tool_outputs()) == len(paths)
    assert all("must begin with one slash" in output for output in model_api.tool_outputs())
