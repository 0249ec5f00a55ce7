"""Tests the demo model: a first conversation without a key."""

import pytest
from agents import Agent, RunConfig, RunContextWrapper, Runner, function_tool
from support.app import Running, running_app
from support.tools import TOOLS

from chatkit_engine.models.demo.model import NOTICE, DemoModel
from chatkit_engine.models.demo.replies import value_of
from chatkit_engine.models.registry import ChatModel, create_model
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import add, answer, create, events, op, thread_id


async def _say(app: Running, text: str) -> str:
    return answer(events((await app.chatkit(create(text))).text))


async def test_the_first_answer_says_that_it_is_a_demo_and_the_next_does_not(app: Running) -> None:
    first = events((await app.chatkit(create("Hello"))).text)
    second = events((await app.chatkit(add(thread_id(first), "Again"))).text)

    assert NOTICE in answer(first)
    assert "You said: Hello" in answer(first)
    assert answer(second) == "You said: Again"


async def test_it_streams_word_by_word(app: Running) -> None:
    streamed = events((await app.chatkit(create("one two three"))).text)

    deltas = [event for event in streamed if "delta" in event.get("update", {})]
    assert len(deltas) > 10


async def test_it_tells_the_time(app: Running) -> None:
    assert "(UTC)" in await _say(app, "What time is it?")


async def test_it_searches_earlier_threads(app: Running) -> None:
    await _say(app, "My cat is called Miro")

    assert "**Miro**" in await _say(app, "Search my threads: Miro")
    assert "Nothing was found" in await _say(app, "search threads: zebra")


async def test_it_fails_midway_when_asked_to(app: Running) -> None:
    streamed = events((await app.chatkit(create("please /fail now"))).text)

    assert streamed[-1]["type"] == "error"
    assert answer(streamed)
    assert "asked to fail" not in str(streamed)


async def test_it_hands_off_once_and_the_other_agent_answers() -> None:
    model = DemoModel(word_seconds=0)
    other = Agent[None](name="Tax expert", model=model)
    first = Agent[None](name="First", model=model, handoffs=[other])
    other.handoffs = [first]
    quiet = RunConfig(tracing_disabled=True)

    result = await Runner.run(first, "Please transfer me to the tax expert", run_config=quiet)

    assert result.last_agent is other
    assert "Tax_expert here. You said: Please transfer" in str(result.final_output)


async def test_it_cites_the_sources_of_tools(app: Running) -> None:
    told = await app.http.post("/api/chat", json={"message": "My cat is called Miro"})

    body = {"message": "Search my threads: Miro"}
    reply = (await app.http.post("/api/chat", json=body)).json()

    first = reply["citations"][0]
    assert first["type"] == "entity"
    assert told.json()["thread_id"] in first["id"]
    assert reply["message"][: first["index"]].endswith("[1]")


async def test_it_answers_with_an_output_that_begins_many_passages_and_ends_none() -> None:
    output = "[1] <a>\n" * 20_000

    @function_tool
    def tell() -> str:
        return output

    agent = Agent[None](name="a", tools=[tell], model=DemoModel(word_seconds=0))
    result = await Runner.run(agent, "tell", run_config=RunConfig(tracing_disabled=True))

    assert str(result.final_output).endswith(output)


async def test_it_fills_the_schema_of_a_value(app: Running) -> None:
    body = {"message": "Make a plan: move house"}
    reply = (await app.http.post("/api/chat", json=body)).json()

    steps = [{"title": "move house", "minutes": 1}]
    plan = {"title": "move house", "steps": steps}
    assert reply["results"] == [{"tool": "make_plan", "data": plan}]
    assert "The tool answered" in reply["message"]


async def test_it_waits_for_approval_and_goes_on_with_what_the_tool_did(
    settings: Settings, add_feature: AddFeature
) -> None:
    add_feature("parcels", TOOLS)
    model = ChatModel("demo", DemoModel(word_seconds=0))
    async with running_app(settings, model) as app:
        asked = events((await app.chatkit(create("Send a parcel: Bonn"))).text)
        widget = asked[-1]["item"]
        action = widget["widget"]["confirm"]["action"]
        thread, item = thread_id(asked), widget["id"]
        params = {"thread_id": thread, "item_id": item, "action": action}
        answered = events((await app.chatkit(op("threads.custom_action", **params))).text)

    assert "The tool answered: sent 1 g to Bonn" in answer(answered)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "null"}, None),
        ({"const": "fixed"}, "fixed"),
        ({"enum": ["first", "second"]}, "first"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}, "text"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "text"}),
    ],
)
def test_it_makes_a_value_of_every_kind(schema: dict[str, object], value: object) -> None:
    assert value_of(schema, "text") == value


async def test_it_fills_every_kind_of_parameter() -> None:
    seen: dict[str, object] = {}

    @function_tool
    def book_room(
        ctx: RunContextWrapper[None],
        name: str,
        guests: int,
        vegan: bool,
        tags: list[str],
        note: str | None = None,
    ) -> str:
        """Book a room."""
        seen.update(name=name, guests=guests, vegan=vegan, tags=tags, note=note)
        return "booked"

    agent = Agent[None](name="demo", model=DemoModel(word_seconds=0), tools=[book_room])
    quiet = RunConfig(tracing_disabled=True)
    result = await Runner.run(agent, "Please book a room: blue", run_config=quiet)

    assert seen == {"name": "blue", "guests": 1, "vegan": False, "tags": [], "note": None}
    assert "booked" in str(result.final_output)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "demo"),
        ({"openai_api_key": "sk-test"}, "gpt"),
        ({"openai_api_key": "sk-test", "llm_model": "mine"}, "mine"),
        ({"openai_api_key": "sk-test", "llm_provider": "demo"}, "demo"),
    ],
)
async def test_the_key_decides_unless_the_provider_is_named(
    values: dict[str, str], name: str
) -> None:
    model = create_model(Settings.model_validate(values))
    await model.close()

    assert model.name.startswith(name)
    assert bool(model.notice) is (name == "demo")
