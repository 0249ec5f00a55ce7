"""Tests failures between us and a model provider, in both wire formats over a real socket."""

from email.utils import formatdate
from typing import Any

import pytest
from support.app import Running, running_app, with_provider

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.ports import free_port
from chatkit_engine.testing.requests import add, answer, create, events, op, text_of, thread_id

Json = dict[str, Any]

AT_ONCE: Json = {"Retry-After": "0"}
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"


def _with(settings: Settings, **values: Any) -> Settings:
    return Settings.model_validate(settings.model_dump() | values)


async def _ask(app: Running, request: Json) -> list[Json]:
    return events((await app.chatkit(request)).text)


async def _asked_once(settings: Settings) -> list[Json]:
    async with running_app(settings) as app:
        return await _ask(app, create("Hello"))


def _error(streamed: list[Json]) -> str:
    assert streamed[-1]["type"] == "error"
    assert streamed[-1]["allow_retry"] is True
    assert "scripted" not in str(streamed)
    return streamed[-1]["message"]


async def test_a_busy_provider_is_retried_until_it_answers(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    date = formatdate(0, usegmt=True)
    waits: list[Json] = [AT_ONCE, {"Retry-After": date}, {"retry-after-ms": "1"}]
    model_api.script(*(Reply(status=429, headers=wait) for wait in waits), Reply("At last"))

    streamed = await _asked_once(_with(each_wire, llm_max_retries=3))

    assert answer(streamed).strip() == "At last"
    assert len(model_api.requests) == 4


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}]
)
async def test_a_retry_after_a_long_wait_is_not_attempted(
    each_wire: Settings, model_api: FakeModelApi, headers: dict[str, str]
) -> None:
    model_api.default = Reply(status=429, headers=headers)

    streamed = await _asked_once(_with(each_wire, llm_max_retries=3))

    assert "busy" in _error(streamed)
    assert len(model_api.requests) == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_is_retried_and_then_reported(
    each_wire: Settings, model_api: FakeModelApi, status: int
) -> None:
    model_api.default = Reply(status=status, headers=AT_ONCE)

    streamed = await _asked_once(_with(each_wire, llm_max_retries=2))

    assert "could not answer" in _error(streamed)
    assert len(model_api.requests) == 3


async def test_an_invalid_request_is_sent_once(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(status=400)

    _error(await _asked_once(_with(each_wire, llm_max_retries=2)))

    assert len(model_api.requests) == 1


async def test_a_provider_that_is_not_there_is_an_error(each_wire: Settings) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/v1"

    assert "could not answer" in _error(await _asked_once(_with(each_wire, llm_base_url=nowhere)))


async def test_a_model_that_never_begins_times_out(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(hangs=True)

    _error(await _asked_once(_with(each_wire, llm_timeout_seconds=2, llm_max_retries=1)))

    assert len(model_api.requests) == 2


async def test_a_model_that_stops_in_the_middle_times_out_and_its_text_is_kept(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three", hang_after_words=2))

    async with running_app(_with(each_wire, llm_timeout_seconds=0.2, llm_max_retries=2)) as app:
        streamed = await _ask(app, create("Hello"))
        stored = await app.chatkit(
            op("items.list", thread_id=thread_id(streamed), order="asc", limit=10)
        )

    _error(streamed)
    assert len(model_api.requests) == 1
    assert text_of(stored.json()["data"][1]).strip() == "one two"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("one two three", cut_after_words=2),
        Reply("one two three", end_after_words=2),
        Reply("one two three", error_code="server_error"),
    ],
)
async def test_an_interrupted_answer_is_an_error_and_not_retried(
    each_wire: Settings, model_api: FakeModelApi, reply: Reply
) -> None:
    model_api.script(reply)

    async with running_app(_with(each_wire, llm_max_retries=2)) as app:
        streamed = await _ask(app, create("Hello"))
        following = await _ask(app, add(thread_id(streamed), "And now?"))

    _error(streamed)
    assert "one two" in answer(streamed)
    assert "error" not in [event["type"] for event in following]
    assert len(model_api.requests) == 2


async def test_an_answer_that_ends_before_its_first_word_is_retried(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(error_code="server_error"), Reply("At last"))

    streamed = await _asked_once(_with(each_wire, llm_max_retries=1))

    assert answer(streamed).strip() == "At last"


async def test_a_provider_that_is_down_is_left_alone_and_readiness_says_so(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply(status=500, headers=AT_ONCE)

    async with running_app(_with(each_wire, llm_breaker_failures=2)) as app:
        for _ in range(2):
            assert "could not answer" in _error(await _ask(app, create("Hello")))
        assert "busy" in _error(await _ask(app, create("Hello")))
        ready = await app.http.get("/health/ready")

    assert len(model_api.requests) == 2
    assert ready.status_code == 200
    model = next(check for check in ready.json()["checks"] if check["name"] == "model")
    assert "is down" in model["detail"]


@pytest.fixture
def with_fallback(settings: Settings, model_api: FakeModelApi) -> Settings:
    """OpenAI, and a server of our own that stands in for it: both are the fake."""
    return with_provider(
        settings,
        model_api,
        "openai",
        llm_fallback_provider="custom",
        llm_fallback_model="second",
        llm_fallback_base_url=model_api.url,
    )


@pytest.mark.parametrize(
    "reply",
    [
        *(Reply(status=status) for status in (401, 403, 404, 408, 429, 500, 503)),
        Reply(error_code="server_error"),
        Reply(error_code="rate_limit_exceeded"),
        Reply(hangs=True),
    ],
)
async def test_another_model_answers_when_the_first_fails_before_its_first_word(
    with_fallback: Settings, model_api: FakeModelApi, reply: Reply
) -> None:
    model_api.script(reply, Reply("I stand in"))

    streamed = await _asked_once(_with(with_fallback, llm_timeout_seconds=0.5))

    assert answer(streamed).strip() == "I stand in"
    assert model_api.paths == [RESPONSES, CHAT]
    assert model_api.requests[1]["model"] == "second"
    assert "sk-test" not in model_api.headers[1]["authorization"]


@pytest.mark.parametrize(
    "reply", [Reply(status=400), Reply(status=422), Reply(error_code="invalid_prompt")]
)
async def test_an_invalid_request_is_not_sent_to_the_fallback(
    with_fallback: Settings, model_api: FakeModelApi, reply: Reply
) -> None:
    model_api.script(reply)

    _error(await _asked_once(with_fallback))

    assert model_api.paths == [RESPONSES]


async def test_the_fallback_does_not_continue_a_begun_answer(
    with_fallback: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three", cut_after_words=2))

    _error(await _asked_once(with_fallback))

    assert model_api.paths == [RESPONSES]


async def test_both_are_tried_again_when_both_fail(
    with_fallback: Settings, model_api: FakeModelApi
) -> None:
    down = Reply(status=500, headers=AT_ONCE)
    model_api.script(down, down, down, Reply("At last"))

    streamed = await _asked_once(_with(with_fallback, llm_max_retries=1))

    assert answer(streamed).strip() == "At last"
    assert model_api.paths == [RESPONSES, CHAT, RESPONSES, CHAT]


async def test_with_an_open_breaker_the_other_model_answers_at_once(
    with_fallback: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(status=500), Reply("I stand in"), Reply("I still do"))

    async with running_app(_with(with_fallback, llm_breaker_failures=1)) as app:
        await _ask(app, create("Hello"))
        streamed = await _ask(app, create("Hello again"))

    assert answer(streamed).strip() == "I still do"
    assert model_api.paths == [RESPONSES, CHAT, CHAT]


async def test_one_provider_may_have_both_models(
    each_wire: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(status=500), Reply("I stand in"))

    streamed = await _asked_once(_with(each_wire, llm_fallback_model="second"))

    assert answer(streamed).strip() == "I stand in"
    assert [request["model"] for request in model_api.requests] == ["fake", "second"]


@pytest.mark.parametrize(
    "noise",
    [
        b"retry: 3000\n\n",
        b": OPENROUTER PROCESSING\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b"event: ping\nid: 7\ndata:\n\n",
        b"\n\n\n",
        b"retry: 3000\r\n\r\n:\r\n\r\ndata:\r\n\r\n",
    ],
)
async def test_events_without_data_are_ignored(
    each_wire: Settings, model_api: FakeModelApi, noise: bytes
) -> None:
    model_api.script(Reply("Hello", noise=noise))

    streamed = await _asked_once(each_wire)

    assert answer(streamed).strip() == "Hello"
    assert len(model_api.requests) == 1


@pytest.mark.parametrize("noise", [b'data: {"half\n\n', b"data: nonsense\n\n"])
async def test_an_event_that_is_no_json_is_an_answer_that_broke_off(
    each_wire: Settings, model_api: FakeModelApi, noise: bytes
) -> None:
    model_api.script(Reply("", noise=noise), Reply("Hello"))

    streamed = await _asked_once(_with(each_wire, llm_max_retries=1))

    assert answer(streamed).strip() == "Hello"


async def test_empty_chunks_are_ignored(settings: Settings, model_api: FakeModelApi) -> None:
    nothing = [{"index": 0, "delta": None, "finish_reason": None}]
    model_api.script(Reply("Hello", choices=[None, [], nothing]))

    streamed = await _asked_once(with_provider(settings, model_api, "custom"))

    assert answer(streamed).strip() == "Hello"
    assert streamed[-1]["type"] == "thread.item.done"
