"""Titles that are written in the background."""

import pytest
from support.app import Running, running_app

from chatkit_engine.run.titles import MAX_TITLE, clean_title
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, answer, create, events, op, thread_id
from chatkit_engine.testing.waiting import eventually


@pytest.fixture
def titled(each_wire: Settings) -> Settings:
    return each_wire.model_copy(update={"thread_titles": True})


async def _title(app: Running, thread: str) -> str | None:
    response = await app.chatkit(op("threads.get_by_id", thread_id=thread))
    return response.json().get("title")


async def _create(app: Running, text: str = "How do I boil an egg?") -> list[Json]:
    return events((await app.chatkit(create(text))).text)


async def _eventually_titled(app: Running, thread: str, title: str) -> None:
    async def is_titled() -> bool:
        return await _title(app, thread) == title

    await eventually(is_titled)


async def test_a_new_thread_gets_the_models_title(
    titled: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Six minutes."), Reply('"Boiling an egg."\n'))
    async with running_app(titled) as app:
        thread = thread_id(await _create(app))
        await _eventually_titled(app, thread, "Boiling an egg")

        await app.chatkit(add(thread, "Softer?"))

    assert len(model_api.requests) == 3
    assert "How do I boil an egg?" in str(model_api.requests[1])


async def test_the_title_comes_with_the_answer_when_that_takes_long(
    titled: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three four five six", word_seconds=0.2), Reply("Counting"))
    async with running_app(titled) as app:
        streamed = await _create(app)

    updated = [event["thread"] for event in streamed if event["type"] == "thread.updated"]
    assert [thread["title"] for thread in updated] == ["Counting"]
    assert updated[0]["metadata"] == {}
    assert answer(streamed).strip() == "one two three four five six"


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply("half a", cut_after_words=1), Reply(""), Reply("  \n ' \" ")],
    ids=["an error", "cut off", "nothing", "only marks"],
)
async def test_a_title_that_fails_fails_no_turn(
    titled: Settings, model_api: FakeModelApi, reply: Reply
) -> None:
    model_api.script(Reply("Six minutes."), reply)
    async with running_app(titled) as app:
        streamed = await _create(app)
        await model_api.received(2)
        thread = thread_id(streamed)
        following = events((await app.chatkit(add(thread, "Softer?"))).text)

    assert answer(streamed).strip() == "Six minutes."
    assert "error" not in {event["type"] for event in streamed + following}


async def test_a_title_that_the_user_gave_meanwhile_stays(
    titled: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Six minutes."), Reply("one two three", word_seconds=0.2))
    async with running_app(titled) as app:
        thread = thread_id(await _create(app))
        await model_api.received(2)
        await app.chatkit(op("threads.update", thread_id=thread, title="Mine"))
        await app.chatkit(add(thread, "Softer?"))

        async def is_over() -> bool:
            return model_api.streaming == 0

        await eventually(is_over)
        assert await _title(app, thread) == "Mine"


async def test_a_thread_that_was_deleted_meanwhile_stays_deleted(
    titled: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Six minutes."), Reply("one two three", word_seconds=0.2))
    async with running_app(titled) as app:
        thread = thread_id(await _create(app))
        await app.chatkit(op("threads.delete", thread_id=thread))
        await model_api.received(2)

        assert (await app.chatkit(op("threads.list"))).json()["data"] == []


async def test_the_demo_models_title_is_how_the_message_begins(settings: Settings) -> None:
    async with running_app(settings.model_copy(update={"thread_titles": True})) as app:
        thread = thread_id(await _create(app, "Tell me all about the boiling of eggs"))

        await _eventually_titled(app, thread, "Tell me all about the boiling")


def test_a_title_is_one_short_line() -> None:
    assert clean_title('\n "**Boiling an egg**"\nand more') == "Boiling an egg"
    assert clean_title("x" * 200) == "x" * (MAX_TITLE - 1) + "…"
    assert clean_title("\x00 \t") == ""
