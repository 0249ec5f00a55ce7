"""Tests one assistant in both wire formats of model APIs: Responses and Chat Completions."""

from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, Runner, function_tool
from agents.items import TResponseStreamEvent
from support.app import Running, running_app, with_provider

from chatkit_engine.models.registry import create_model
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import (
    add,
    answer,
    create,
    events,
    items_of,
    op,
    text_of,
    thread_id,
)

Json = dict[str, Any]

QUIET = RunConfig(tracing_disabled=True)


@pytest.fixture
def with_chat_completions(settings: Settings, model_api: FakeModelApi) -> Settings:
    return with_provider(settings, model_api, "custom")


@function_tool
def weather(city: str) -> str:
    return f"It rains in {city}"


async def _ask(app: Running, request: Json) -> list[Json]:
    return events((await app.chatkit(request)).text)


async def _items(app: Running, thread: str) -> list[Json]:
    response = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=100))
    return response.json()["data"]


async def _streamed(settings: Settings) -> tuple[list[TResponseStreamEvent], str]:
    """Run an agent with a tool; return the model's events and the final answer."""
    model = create_model(settings)
    agent = Agent[None]("Test", model=model.model, model_settings=model.settings, tools=[weather])
    run = Runner.run_streamed(agent, "Is it raining?", run_config=QUIET)
    raw = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    await model.close()
    return raw, str(run.final_output)


async def test_a_conversation_of_two_turns_with_a_tool(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(
        Reply("I look. ", calls=[("current_time", {})]), Reply("It is late"), Reply("Yes, very")
    )

    first = await _ask(app_on_each_wire, create("What time is it?"))
    thread = thread_id(first)
    second = await _ask(app_on_each_wire, add(thread, "So late?"))

    assert "error" not in [event["type"] for event in [*first, *second]]
    assert answer(second).strip() == "Yes, very"
    stored = await _items(app_on_each_wire, thread)
    messages = [item for item in stored if item["type"].endswith("_message")]
    assert [text_of(item).strip() for item in messages] == [
        "What time is it?",
        "I look.",
        "It is late",
        "So late?",
        "Yes, very",
    ]
    assert len({item["id"] for item in stored}) == len(stored)
    said = [text.strip() for text in model_api.texts()]
    assert said[0] == "What time is it?"
    assert said[-2:] == ["It is late", "So late?"]


async def test_every_item_has_one_id_of_its_own_through_all_its_events(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    both = [("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"})]
    model_api.script(Reply("Hm. ", reasoning="Let me see", calls=both), Reply("It rains"))

    raw, _ = await _streamed(each_wire)

    assert "__fake_id__" not in str(raw)
    ends = [event.response.output for event in raw if event.type == "response.completed"]
    added = [event.item.id for event in raw if event.type == "response.output_item.added"]
    done = [event.item.id for event in raw if event.type == "response.output_item.done"]
    assert sorted(map(str, added)) == sorted(str(item.id) for output in ends for item in output)
    assert set(done) <= set(added)
    places = {getattr(event, "item_id", added[0]) for event in raw}
    assert places <= set(added)
    calls = [item.call_id for item in ends[0] if item.type == "function_call"]
    assert len(set(calls)) == len(calls) == 2


async def test_a_tools_arguments_arrive_whole_and_its_output_goes_back(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("weather", {"city": "Rome"})]), Reply("It rains"))

    _, final = await _streamed(each_wire)

    assert final.strip() == "It rains"
    assert "It rains in Rome" in str(model_api.requests[1])


async def test_usage_is_counted(each_wire: Settings, model_api: FakeModelApi) -> None:
    model_api.script(Reply("Hello", usage={"input": 120, "output": 34, "cached": 100}))

    model = create_model(each_wire)
    agent = Agent[None]("Test", model=model.model, model_settings=model.settings)
    run = Runner.run_streamed(agent, "Hello", run_config=QUIET)
    async for _ in run.stream_events():
        pass
    await model.close()

    usage = run.context_wrapper.usage
    assert (usage.input_tokens, usage.output_tokens) == (120, 34)
    assert usage.input_tokens_details.cached_tokens == 100


async def test_an_answer_in_one_piece(each_wire: Settings, model_api: FakeModelApi) -> None:
    model_api.script(Reply(calls=[("weather", {"city": "Rome"})]), Reply("It rains"))
    model = create_model(each_wire)
    agent = Agent[None]("Test", model=model.model, model_settings=model.settings, tools=[weather])

    result = await Runner.run(agent, "Is it raining?", run_config=QUIET)
    await model.close()

    assert str(result.final_output).strip() == "It rains"
    ids = [item.id for response in result.raw_responses for item in response.output]
    assert "__fake_id__" not in ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_the_message(
    each_wire: Settings, model_api: FakeModelApi, stream: bool
) -> None:
    model_api.script(Reply(refusal="I will not do that"))

    if stream:
        _, final = await _streamed(each_wire)
    else:
        model = create_model(each_wire)
        agent = Agent[None]("Test", model=model.model, model_settings=model.settings)
        final = str((await Runner.run(agent, "Do it", run_config=QUIET)).final_output)
        await model.close()

    assert final.strip() == "I will not do that"


async def test_a_refusal_is_streamed_and_stored_as_text(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(refusal="I will not do that"))

    streamed = await _ask(app_on_each_wire, create("Do it"))

    assert answer(streamed).strip() == "I will not do that"
    stored = await _items(app_on_each_wire, thread_id(streamed))
    assert text_of(stored[1]).strip() == "I will not do that"
    assert "error" not in [event["type"] for event in streamed]


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
async def test_an_answer_that_meets_a_limit_keeps_its_text_and_completes(
    app_on_each_wire: Running, model_api: FakeModelApi, reason: str
) -> None:
    model_api.script(Reply("As far as it", incomplete=reason))

    streamed = await _ask(app_on_each_wire, create("Go on"))

    assert "error" not in [event["type"] for event in streamed]
    stored = await _items(app_on_each_wire, thread_id(streamed))
    assert text_of(stored[1]).strip() == "As far as it"


async def test_an_answer_that_a_filter_withholds_says_so(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(incomplete="content_filter"))

    streamed = await _ask(app_on_each_wire, create("Go on"))

    stored = await _items(app_on_each_wire, thread_id(streamed))
    assert "content filter" in text_of(stored[1])


async def test_a_limit_before_the_first_word_is_an_error(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(incomplete="max_output_tokens"))

    streamed = await _ask(app_on_each_wire, create("Go on"))

    assert streamed[-1]["type"] == "error"


async def test_openai_specific_parameters_are_not_sent_to_others(
    settings: Settings, model_api: FakeModelApi
) -> None:
    gemini = with_provider(settings, model_api, "gemini", gemini_api_key="a-key")

    async with running_app(gemini) as app:
        await _ask(app, create("Hello"))

    request = model_api.requests[0]
    assert "store" not in request
    assert request["stream_options"] == {"include_usage": True}
    assert request["model"] == "fake"
    assert model_api.headers[0]["authorization"] == "Bearer a-key"


async def test_openai_gets_no_references_to_items_that_it_does_not_store(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    call = ("weather", {"city": "Rome"})
    model_api.script(Reply("Hm. ", reasoning="Let me see", calls=[call]), Reply("It rains"))

    await _streamed(with_model)

    types = [item.get("type") for item in model_api.requests[1]["input"]]
    assert "reasoning" not in types
    assert {"function_call", "function_call_output"} <= set(types)
    assert not [item for item in model_api.requests[1]["input"] if "id" in item]
    assert not model_api.requests[0]["include"]


async def test_openais_reasoning_is_asked_for_where_a_model_reasons(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    await _streamed(with_model.model_copy(update={"llm_model": "gpt-5.6-luna"}))

    assert model_api.requests[0]["include"] == ["reasoning.encrypted_content"]
    assert model_api.requests[0]["store"] is False


async def test_another_model_of_the_provider_is_named(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model = create_model(each_wire)

    other = model.named("another")
    agent = Agent[None]("Test", model=other, model_settings=ModelSettings(store=False))
    await Runner.run(agent, "Hello", run_config=QUIET)
    await model.close()

    assert model_api.requests[0]["model"] == "another"
    assert model.named("another") is other
    assert model.named(model.name) is model.model


async def test_a_page_that_the_model_cites_is_cited(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    page = {
        "type": "url_citation",
        "url": "https://page.example/a",
        "title": "A page",
        "start_index": 0,
        "end_index": 5,
    }
    model_api.script(Reply("It is so", annotations=[page]))

    streamed = await _ask(app_on_each_wire, create("Look it up"))

    [answered] = items_of(streamed, "assistant_message")
    [annotation] = answered["content"][0]["annotations"]
    assert annotation["source"]["url"] == page["url"]
    assert annotation["index"] == 5


async def test_a_text_ends_with_its_complete_content(
    app_on_each_wire: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("All of it"))

    streamed = await _ask(app_on_each_wire, create("Tell me"))

    updates = [event["update"] for event in streamed if event["type"] == "thread.item.updated"]
    assert updates[-1]["type"] == "assistant_message.content_part.done"
    assert updates[-1]["content"]["text"].strip() == "All of it"


def _choice(finish_reason: str | None = None, **delta: Any) -> list[Json]:
    return [{"index": 0, "delta": delta, "finish_reason": finish_reason}]


def _call(arguments: object, **fields: Any) -> list[Json]:
    call = {"index": 0, "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return _choice(tool_calls=[call | fields])


@pytest.mark.parametrize(
    "choices",
    [
        [_call({"city": "Rome"}, id="call_1")],
        [_call('{"city": "Rome"}')],
        [_call('{"city": "Rome"}', id=None)],
        [_call('{"city": "Rome"}', id="")],
        [None, [], _choice(role="assistant"), _call({"city": "Rome"}, id="call_1")],
        [_choice(reasoning_content="Let me see"), _call({"city": "Rome"}, id="call_1")],
    ],
    ids=["object", "no id", "null id", "empty id", "empty chunks", "reasoning"],
)
async def test_a_call_is_read_as_other_servers_write_it(
    with_chat_completions: Settings, model_api: FakeModelApi, choices: list[list[Json] | None]
) -> None:
    model_api.script(Reply(choices=[*choices, _choice("tool_calls")]), Reply("Yes"))

    _events, final = await _streamed(with_chat_completions)

    [output] = [m for m in model_api.requests[-1]["messages"] if m["role"] == "tool"]
    assert output["content"] == "It rains in Rome"
    assert output["tool_call_id"]
    assert final.strip() == "Yes"


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>", "Let me see", "</think>", "It rains"],
        ["<thi", "nk>Let me ", "see</th", "ink>\n\nIt ", "rains"],
        ["<think>Let me see</think>It rains"],
        ["\n<Thinking>\nLet me see</Thinking>\n", "It rains"],
    ],
)
async def test_thoughts_in_a_tag_are_no_text(
    with_chat_completions: Settings, model_api: FakeModelApi, pieces: list[str]
) -> None:
    chunks = [_choice(content=piece) for piece in pieces]
    model_api.script(Reply(choices=chunks))

    streamed, final = await _streamed(with_chat_completions)

    assert final == "It rains"
    thoughts = [
        event for event in streamed if event.type == "response.reasoning_summary_text.delta"
    ]
    assert "".join(event.delta for event in thoughts).strip() == "Let me see"


@pytest.mark.parametrize("reason", [None, ""])
async def test_an_answer_without_a_reason_to_end_is_whole_after_done(
    with_chat_completions: Settings, model_api: FakeModelApi, reason: str | None
) -> None:
    chunks = [_choice(reason, content="It "), _choice(reason, content="rains")]
    model_api.script(Reply(choices=chunks, gives_reason=False))

    _events, final = await _streamed(with_chat_completions)

    assert final == "It rains"
    assert len(model_api.requests) == 1


async def test_content_in_parts_is_text(
    with_chat_completions: Settings, model_api: FakeModelApi
) -> None:
    parts = [{"type": "text", "text": "Yes, "}, {"type": "text", "text": "it does"}]
    model_api.script(Reply(choices=[_choice(content=None), _choice(content=parts)]))

    _events, final = await _streamed(with_chat_completions)

    assert final == "Yes, it does"
