"""Every item of the protocol, and every text, is read back as it was saved."""

from typing import Any, cast, get_args

import pytest
from chatkit import types
from chatkit.store import NotFoundError
from pydantic import BaseModel
from support.items import every_item
from support.logs import logged_by
from support.sql import run_sql
from support.store import ADA, THREAD, fill, item_ids, make_item, make_thread, read_page

from chatkit_engine.store import items as codec
from chatkit_engine.store.chatkit_store import SqlStore

TEXTS = {
    "nothing": "",
    "NUL": "a\x00b\x00",
    "astral": "😀 𐐀 👩‍👩‍👧 \U0010ffff",
    "quotes": "' \" ` '' $$ $1 :name ? %s %(name)s {0}",
    "escapes": "\\ \\\\ \\n \\u0000 \\x00 %00 %",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028\ufeff\ufffe",
    "markup": "<b>**bold**</b> & </script>",
    "a long word": "w" * 3000 + " " + "ö" * 3000,
    "right to left": "שלום עולם \u202e",
}
IDS = (
    "x'; DROP TABLE items; --",
    "\"quoted\" 'id' \\ %s $1 :name",
    "with space\ttab\nline",
    "ünïcödé-😀",
    "%",
    "_",
    "null",
    "i" * 1000,
)
UNKNOWN = '{"type": "from_the_future", "id": "msg_0", "power": 9000}'


def _members(union: Any) -> set[type]:
    return set(get_args(get_args(union)[0]))


def _classes(value: Any) -> set[type]:
    """Return the classes of a model and of all that is in it."""
    if isinstance(value, BaseModel):
        return {type(value)}.union(*map(_classes, vars(value).values()))
    if isinstance(value, list):
        return set[type]().union(*map(_classes, cast(list[Any], value)))
    return set()


def test_the_samples_have_every_kind_that_the_protocol_has() -> None:
    kinds = set[type]().union(*map(_classes, every_item(THREAD)))
    unions: dict[str, set[type]] = {
        name: _members(getattr(types, name))
        for name in (
            "ThreadItem",
            "Task",
            "Source",
            "StructuredInput",
            "UserMessageContent",
            "Attachment",
        )
    }
    unions["WorkflowSummary"] = set(get_args(types.WorkflowSummary))

    missing = {name: members - kinds for name, members in unions.items() if members - kinds}

    assert not missing


async def test_every_kind_of_item_comes_back_as_it_was_saved(store: SqlStore) -> None:
    items = every_item(THREAD)
    await store.save_thread(make_thread(), context=ADA)

    for item in items:
        await store.add_thread_item(THREAD, item, context=ADA)

    assert (await read_page(store)).data == items
    for item in items:
        assert await store.load_item(THREAD, item.id, context=ADA) == item


async def test_an_image_attachment_comes_back_as_it_was_saved(store: SqlStore) -> None:
    message = every_item(THREAD)[0]
    assert isinstance(message, types.UserMessageItem)
    await store.save_thread(make_thread(), context=ADA)

    for attachment in message.attachments:
        await store.save_attachment(attachment, ADA)

    loaded = [await store.load_attachment(each.id, ADA) for each in message.attachments]
    assert loaded == message.attachments


async def test_every_text_comes_back_as_it_was_saved(store: SqlStore) -> None:
    thread = make_thread(title=TEXTS["escapes"], metadata=dict(TEXTS))
    await store.save_thread(thread, context=ADA)
    items = [make_item(name, text) for name, text in TEXTS.items()]
    hidden = types.HiddenContextItem(
        id="hidden", thread_id=THREAD, created_at=thread.created_at, content=TEXTS
    )

    for item in (*items, hidden):
        await store.add_thread_item(THREAD, item, context=ADA)

    assert (await read_page(store)).data == [*items, hidden]
    assert await store.load_thread(THREAD, context=ADA) == thread


@pytest.mark.parametrize("where", ["threads", "items"])
async def test_an_id_is_only_an_id(store: SqlStore, where: str) -> None:
    await fill(store, 1)
    for name in IDS:
        thread_id, item_id = (name, "msg_0") if where == "threads" else (THREAD, name)
        item = make_item(item_id, name, thread_id)
        await store.save_thread(make_thread(thread_id), context=ADA)
        await store.add_thread_item(thread_id, item, context=ADA)
        await store.save_feedback(thread_id, [item_id], "positive", ADA)

        assert await store.load_item(thread_id, item_id, context=ADA) == item
        assert not (await read_page(store, after=item_id, thread_id=thread_id)).data

    for name in IDS:
        if where == "threads":
            await store.delete_thread(name, context=ADA)
        else:
            await store.delete_thread_item(THREAD, name, context=ADA)
    assert await item_ids(store) == ["msg_0"]
    assert len((await store.load_threads(99, None, "asc", ADA)).data) == 1


async def test_a_large_item_comes_back_whole(store: SqlStore) -> None:
    await store.save_thread(make_thread(), context=ADA)
    large = make_item("msg_1", "wörd " * 1_000_000)

    await store.add_thread_item(THREAD, large, context=ADA)
    await store.save_item(THREAD, large, context=ADA)

    assert await store.load_item(THREAD, "msg_1", context=ADA) == large


async def _from_the_future(store: SqlStore, *names: str) -> None:
    for name in names:
        update = "UPDATE items SET data = :data, type = 'from_the_future' WHERE id = :id"
        await store.database.write(run_sql, update, data=UNKNOWN, id=name)


async def test_unreadable_items_are_skipped_with_a_warning(store: SqlStore) -> None:
    await fill(store, 3)
    await _from_the_future(store, "msg_1")

    with logged_by(codec) as logs:
        found = await item_ids(store)

    assert found == ["msg_0", "msg_2"]
    assert [line["log_level"] for line in logs] == ["warning"]
    with pytest.raises(NotFoundError):
        await store.load_item(THREAD, "msg_1", context=ADA)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_paging_continues_past_unreadable_items(store: SqlStore, order: str) -> None:
    names = await fill(store, 8)
    await _from_the_future(store, *names[2:6])

    pages = [await read_page(store, order, limit=2)]
    while pages[-1].has_more:
        pages.append(await read_page(store, order, after=pages[-1].after, limit=2))

    first, last = names[:2], names[6:]
    expected = [first, [], [], last] if order == "asc" else [last[::-1], [], [], first[::-1]]
    assert [[item.id for item in page.data] for page in pages] == expected


async def test_unreadable_items_stay_until_they_are_deleted(store: SqlStore) -> None:
    await fill(store, 2)
    await _from_the_future(store, "msg_0")
    stored = "SELECT data FROM items WHERE id = 'msg_0'"

    await store.save_thread(make_thread(title="new"), context=ADA)
    await store.save_item(THREAD, make_item("msg_1", "new"), context=ADA)
    await store.save_feedback(THREAD, ["msg_0"], "positive", ADA)
    kept = await store.database.read(run_sql, stored)
    await store.delete_thread_item(THREAD, "msg_0", context=ADA)

    assert kept == [(UNKNOWN,)]
    assert await store.database.read(run_sql, stored) == []
    assert await item_ids(store, after="msg_0") == ["msg_1"]
