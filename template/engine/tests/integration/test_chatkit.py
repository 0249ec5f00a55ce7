"""The ChatKit endpoint, through the whole application, with the model's API faked on the wire."""

from typing import Any

import pytest
from support.app import Running

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import add, answer, create, events, op, thread_id

Json = dict[str, Any]


async def _ask(app: Running, request: Json) -> list[Json]:
    response = await app.chatkit(request)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events(response.text)


async def _items(app: Running, thread: str) -> list[Json]:
    response = await app.chatkit(op("items.list", thread_id=thread, order="asc", limit=100))
    return response.json()["data"]


async def test_a_new_thread_streams_its_answer_and_stores_it(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Hello to you too"))

    streamed = await _ask(app_with_model, create("Hello"))

    assert [event["type"] for event in streamed[:4]] == [
        "thread.created",
        "thread.item.done",
        "stream_options",
        "thread.item.added",
    ]
    assert answer(streamed).strip() == "Hello to you too"
    stored = await _items(app_with_model, thread_id(streamed))
    assert [item["type"] for item in stored] == ["user_message", "assistant_message"]
    assert stored[1]["content"][0]["text"].strip() == "Hello to you too"
    assert stored[1] == streamed[-1]["item"]


async def test_the_stream_may_not_be_cached_or_buffered_by_proxies(
    app_with_model: Running,
) -> None:
    response = await app_with_model.chatkit(create("Hello"))

    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"


async def test_the_next_turn_gives_the_model_the_whole_conversation_in_order(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = thread_id(await _ask(app_with_model, create("first")))
    await _ask(app_with_model, add(thread, "second"))

    await _ask(app_with_model, add(thread, "third"))

    texts = [text.strip() for text in model_api.texts()]
    assert texts == ["first", "echo: first", "second", "echo: second", "third"]


async def test_messages_keep_ids_of_their_own_when_the_model_repeats_one(
    app_with_model: Running,
) -> None:
    thread = thread_id(await _ask(app_with_model, create("first")))
    await _ask(app_with_model, add(thread, "second"))

    ids = [item["id"] for item in await _items(app_with_model, thread)]

    assert len(set(ids)) == 4
    assert all(len(item_id.split("_")[1]) == 32 for item_id in ids)


async def test_a_tool_runs_and_its_result_reaches_the_model(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("current_time", {})]), Reply("It is late"))
    request = create("What time is it?", metadata={"timezone": "Asia/Tokyo"})

    streamed = await _ask(app_with_model, request)

    assert answer(streamed).strip() == "It is late"
    output = model_api.requests[1]["input"][-1]
    assert output["type"] == "function_call_output"
    assert "Asia/Tokyo" in output["output"]


async def test_two_messages_of_one_turn_are_both_stored(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Let me look", calls=[("current_time", {})]), Reply("Found it"))

    streamed = await _ask(app_with_model, create("What time is it?"))

    stored = await _items(app_with_model, thread_id(streamed))
    texts = [item["content"][0]["text"].strip() for item in stored]
    assert texts == ["What time is it?", "Let me look", "Found it"]


async def test_nothing_is_kept_by_the_provider(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    await _ask(app_with_model, create("Hello"))

    assert model_api.requests[0]["store"] is False


async def test_a_retry_puts_a_new_answer_in_place_of_the_old(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("old answer"), Reply("new answer"))
    thread = thread_id(await _ask(app_with_model, create("Hello")))
    question = (await _items(app_with_model, thread))[0]["id"]

    await _ask(app_with_model, op("threads.retry_after_item", thread_id=thread, item_id=question))

    stored = await _items(app_with_model, thread)
    texts = [item["content"][0]["text"].strip() for item in stored]
    assert texts == ["Hello", "new answer"]
    assert [text.strip() for text in model_api.texts()] == ["Hello"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=400),
        Reply("half an answer", cut_after_words=2),
        Reply("and a tool", calls=[("current_time", "{")] * 3),
    ],
    ids=["before it begins", "in the middle", "with tools"],
)
async def test_a_retry_that_fails_keeps_the_old_answer(
    app_with_model: Running,
    model_api: FakeModelApi,
    reply: Reply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatkit_engine.turns.turn.CHECKPOINT_SECONDS", 0.01)
    model_api.script(Reply("old answer"), reply)
    thread = thread_id(await _ask(app_with_model, create("Hello")))
    question = (await _items(app_with_model, thread))[0]["id"]

    await _ask(app_with_model, op("threads.retry_after_item", thread_id=thread, item_id=question))

    texts = [item["content"][0]["text"].strip() for item in await _items(app_with_model, thread)]
    assert texts == ["Hello", "old answer"]


@pytest.mark.parametrize(
    ("status", "says"), [(400, "could not answer"), (429, "busy"), (500, "could not answer")]
)
async def test_a_model_error_becomes_an_error_event_without_its_text(
    app_with_model: Running, model_api: FakeModelApi, status: int, says: str
) -> None:
    model_api.script(Reply(status=status))

    streamed = await _ask(app_with_model, create("Hello"))

    assert streamed[-1]["type"] == "error"
    assert says in streamed[-1]["message"]
    assert streamed[-1]["allow_retry"] is True
    assert "scripted error" not in str(streamed)
    following = await _ask(app_with_model, add(thread_id(streamed), "again"))
    assert "error" not in [event["type"] for event in following]


async def test_an_answer_that_breaks_off_is_kept_and_the_next_turn_knows(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("one two three four five", cut_after_words=3))

    streamed = await _ask(app_with_model, create("Count"))

    thread = thread_id(streamed)
    assert streamed[-1]["type"] == "error"
    partial = (await _items(app_with_model, thread))[1]["content"][0]["text"]
    assert partial.strip() == "one two three"
    await _ask(app_with_model, add(thread, "Go on"))
    assert "cut off" in " ".join(model_api.texts())


async def test_a_thread_is_listed_read_renamed_and_deleted(app_with_model: Running) -> None:
    thread = thread_id(await _ask(app_with_model, create("Hello")))

    renamed = await app_with_model.chatkit(op("threads.update", thread_id=thread, title="Greeting"))
    read = await app_with_model.chatkit(op("threads.get_by_id", thread_id=thread))
    listed = await app_with_model.chatkit(op("threads.list"))
    deleted = await app_with_model.chatkit(op("threads.delete", thread_id=thread))
    after = await app_with_model.chatkit(op("threads.get_by_id", thread_id=thread))

    assert renamed.json()["title"] == "Greeting"
    assert [item["type"] for item in read.json()["items"]["data"]] == [
        "user_message",
        "assistant_message",
    ]
    assert [found["title"] for found in listed.json()["data"]] == ["Greeting"]
    assert deleted.status_code == 200
    assert after.status_code == 404


async def test_times_are_in_utc(app_with_model: Running) -> None:
    streamed = await _ask(app_with_model, create("Hello"))

    thread = thread_id(streamed)
    stored = await _items(app_with_model, thread)
    sent = [event["item"] for event in streamed if "item" in event]
    assert all(item["created_at"].endswith("Z") for item in [*stored, *sent])
    assert streamed[0]["thread"]["created_at"].endswith("Z")


async def test_pages_of_items_meet_without_gap_or_overlap(app_with_model: Running) -> None:
    thread = thread_id(await _ask(app_with_model, create("0")))
    for number in range(1, 4):
        await _ask(app_with_model, add(thread, str(number)))

    pages: list[Json] = []
    after = None
    while not pages or pages[-1]["has_more"]:
        request = op("items.list", thread_id=thread, limit=3, order="asc", after=after)
        pages.append((await app_with_model.chatkit(request)).json())
        after = pages[-1].get("after")

    found = [item["id"] for page in pages for item in page["data"]]
    assert found == [item["id"] for item in await _items(app_with_model, thread)]
    assert len(found) == 8


async def test_hidden_items_are_not_shown(app_with_model: Running, model_api: FakeModelApi) -> None:
    model_api.script(Reply("one two three", cut_after_words=2))
    thread = thread_id(await _ask(app_with_model, create("Count")))

    listed = await _items(app_with_model, thread)
    read = await app_with_model.chatkit(op("threads.get_by_id", thread_id=thread))

    assert "hidden" not in str(listed) + read.text


async def test_feedback_is_taken_for_own_items_only(app_with_model: Running) -> None:
    streamed = await _ask(app_with_model, create("Hello"))
    thread, item = thread_id(streamed), streamed[-1]["item"]["id"]

    taken = await app_with_model.chatkit(
        op("items.feedback", thread_id=thread, item_ids=[item], kind="positive")
    )
    refused = await app_with_model.chatkit(
        op("items.feedback", thread_id=thread, item_ids=["msg_unknown"], kind="positive")
    )

    assert taken.status_code == 200
    assert refused.status_code == 404


@pytest.mark.parametrize(
    "request_",
    [
        op("input.transcribe", audio_base64="AAAA", mime_type="video/mp4"),
        op("attachments.create", name="a.exe", size=1, mime_type="application/x-msdownload"),
        op("attachments.delete", attachment_id="atc_1"),
    ],
)
async def test_unsupported_operations_are_refused_with_a_message(
    app_with_model: Running, request_: Json
) -> None:
    response = await app_with_model.chatkit(request_)

    assert response.status_code in {400, 404, 415}
    assert response.json()["detail"]


async def test_a_retry_of_an_old_message_reads_the_conversation_up_to_it(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = thread_id(await _ask(app_with_model, create("0")))
    for number in range(1, 30):
        await _ask(app_with_model, add(thread, str(number)))
    question = (await _items(app_with_model, thread))[4]
    assert question["content"][0]["text"] == "2"

    await _ask(
        app_with_model, op("threads.retry_after_item", thread_id=thread, item_id=question["id"])
    )

    assert [text.strip() for text in model_api.texts()] == ["0", "echo: 0", "1", "echo: 1", "2"]
    texts = [item["content"][0]["text"].strip() for item in await _items(app_with_model, thread)]
    assert texts == ["0", "echo: 0", "1", "echo: 1", "2", "echo: 2"]


async def test_a_character_that_is_cut_in_two_is_joined(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("a \ud83d\ude00 b", split_surrogates=True))

    streamed = await _ask(app_with_model, create("Smile"))

    assert answer(streamed).strip() == "a 😀 b"
    stored = await _items(app_with_model, thread_id(streamed))
    assert stored[1]["content"][0]["text"].strip() == "a 😀 b"
