"""The demo model: a first conversation with no key."""

import pytest
from agents import Agent, RunConfig, RunContextWrapper, Runner, function_tool

from app.providers import create_model
from app.providers.demo import NOTICE, DemoModel
from app.settings import Settings
from tests.support.app import Running
from tests.support.requests import add, answer, create, events, thread_id


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
