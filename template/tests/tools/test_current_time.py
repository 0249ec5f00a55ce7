"""The tool `current_time`."""

from chatkit_engine.testing import FakeModelApi, Reply, Running, answer, create, tool_call


async def test_it_tells_the_time_where_the_user_is(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("current_time"), Reply("It is noon"))

    where = {"timezone": "Europe/Berlin"}
    streamed = await app_with_model.ask(create("What time is it?", where))

    [output] = model_api.tool_outputs()
    assert output.endswith("(Europe/Berlin)")
    assert answer(streamed).strip() == "It is noon"


async def test_it_tells_utc_to_a_user_without_a_time_zone(app: Running) -> None:
    answered = await app.chat("What time is it?")

    assert "(UTC)" in answered["message"]
