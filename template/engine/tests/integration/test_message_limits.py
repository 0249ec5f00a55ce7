"""Tests the limits of a message's parts, of pages, and of what is read of a thread."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from chatkit.types import InferenceOptions, UserMessageItem, UserMessageTagContent
from sqlalchemy import Connection, update
from support.app import Running
from support.store import ADA, NOW, THREAD, make_item, make_thread

from chatkit_engine.run.history import History
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.items import StoredItem, encode_item
from chatkit_engine.store.pages import MAX_PAGE_BYTES
from chatkit_engine.store.tables import items
from chatkit_engine.store.threads import load_calls_between, load_history_page
from chatkit_engine.testing.requests import op

Json = dict[str, Any]
LONG = "x" * 70_000


def _tag(**values: Any) -> Json:
    tag: Json = {"type": "input_tag", "id": "a", "text": "A", "data": {}}
    return tag | values


def _message(*parts: Json, **values: Any) -> Json:
    text: Json = {"type": "input_text", "text": "Hello"}
    message: Json = {"content": [text, *parts], "attachments": [], "inference_options": {}}
    return op("threads.create", input=message | values)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (_message(_tag(data={"a": LONG})), "input.content.1.data"),
        (_message(_tag(data={"a": {"b": ["é" * 2100]}})), "input.content.1.data"),
        (_message(_tag(id=LONG)), "input.content.1.id"),
        (_message(_tag(text=LONG)), "input.content.1.text"),
        (_message(_tag(), _tag(group=LONG)), "input.content.2.group"),
        (_message(*[_tag(data={"a": "x" * 4000})] * 40), "input.content"),
        (_message(*[_tag()] * 200), "input.content"),
        (_message(quoted_text=LONG), "input.quoted_text"),
        (_message(attachments=["atc_1"] * 500), "input.attachments"),
        (_message(attachments=[LONG]), "input.attachments"),
        (_message() | {"metadata": {"mine": LONG}}, "metadata"),
        (
            op("threads.custom_action", thread_id="t", action={"type": "a", "payload": LONG}),
            "action.payload",
        ),
        (
            op("threads.sync_custom_action", thread_id="t", action={"type": LONG, "payload": 1}),
            "action.type",
        ),
        (
            op(
                "threads.add_structured_input",
                thread_id="t",
                item_id="i",
                input={"answers": {str(number): {} for number in range(200)}},
            ),
            "input.answers",
        ),
        (
            op(
                "threads.add_structured_input",
                thread_id="t",
                item_id="i",
                input={"answers": {"a": {"values": [LONG]}}},
            ),
            "input.answers",
        ),
        (op("input.transcribe", audio_base64="", mime_type=LONG), "mime_type"),
    ],
)
async def test_a_part_that_is_too_large_is_named_and_nothing_is_stored(
    app: Running, request_: Json, name: str
) -> None:
    response = await app.chatkit(request_)

    assert response.status_code == 413
    assert name in response.json()["detail"]
    assert (await app.chatkit(op("threads.list"))).json()["data"] == []


async def _large_thread(store: SqlStore, sizes: Sequence[int]) -> list[str]:
    """Store messages of these sizes, and return their ids, oldest first."""
    await store.save_thread(make_thread(), ADA)
    messages = [make_item(f"msg_{number}", "é" * (size // 2)) for number, size in enumerate(sizes)]
    for message in messages:
        await store.add_thread_item(THREAD, message, ADA)
    return [message.id for message in messages]


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_is_bounded_in_bytes_and_the_next_one_follows(
    store: SqlStore, order: str, limit: int
) -> None:
    # The second is larger than a page by itself, the last ones are the end exactly.
    ids = await _large_thread(store, [10, MAX_PAGE_BYTES, 10, *[MAX_PAGE_BYTES // 8] * 6])

    seen: list[str] = []
    after, has_more = None, True
    while has_more:
        page = await store.load_thread_items(THREAD, after, limit, order, ADA)
        assert 1 <= len(page.data) <= limit
        sizes = [len(encode_item(item).encode()) for item in page.data]
        assert sum(sizes[:-1]) < MAX_PAGE_BYTES
        seen += [item.id for item in page.data]
        after, has_more = page.after, page.has_more

    assert seen == (ids if order == "asc" else ids[::-1])


async def test_the_history_is_read_in_pages_that_are_bounded_in_bytes(store: SqlStore) -> None:
    ids = await _large_thread(store, [MAX_PAGE_BYTES // 8] * 12)

    seen: list[str] = []
    before, pages = None, 0
    while pages == 0 or before is not None:
        page = await store.database.read(load_history_page, THREAD, before, 50, ADA.user.id)
        seen = [item.id for item in page.items] + seen
        before, pages = page.older, pages + 1

    assert seen == ids
    assert pages == 2


async def test_items_that_an_answer_replaces_are_found_without_reading_them(
    store: SqlStore,
) -> None:
    ids = await _large_thread(store, [10] * 3)
    # What is not a call is not decoded.
    await store.database.write(_damage, THREAD)

    found = await store.database.read(load_calls_between, THREAD, 0, None, ADA.user.id)

    assert found == dict.fromkeys(ids)


def _damage(connection: Connection, thread_id: str) -> None:
    connection.execute(update(items).where(items.c.thread_id == thread_id).values(data="-"))


async def test_messages_without_text_and_large_tags_count_in_the_budget() -> None:
    tag = UserMessageTagContent(id="a", text="a", data={"a": "x" * 4000})
    empty = UserMessageItem(
        id="msg_1",
        thread_id=THREAD,
        created_at=NOW,
        content=[],
        attachments=[],
        inference_options=InferenceOptions(),
    )
    tagged = empty.model_copy(update={"content": [tag]})

    async def turns(message: UserMessageItem) -> AsyncIterator[Sequence[StoredItem]]:
        for _ in range(10_000):
            yield [message]

    history = History(max_tokens=4000)
    assert len(await history.select(turns(tagged))) < 5
    assert len(await history.select(turns(empty))) <= 1000
