"""Search finds a user's own messages on each database, whatever text they or the query have."""

import pytest
from chatkit.types import AssistantMessageItem, UserMessageItem
from support.items import every_item
from support.store import ADA, EVE, THREAD, context_of, make_item, make_thread

from chatkit_engine.context import RequestContext
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.search import SearchHit, search_messages

USERS = (
    "it's",
    "back\\slash\\",
    "\"double\" 'single'",
    "with space",
    "user ada",
    "ünïcödé 😀",
    "a & b | !c <-> (d):*",
    "%_",
    "u" * 255,
)


async def _say(store: SqlStore, *bodies: str, user: RequestContext = ADA) -> None:
    """Fill the user's thread with a message for each text."""
    thread_id = f"thr_{user.user.id}"
    await store.save_thread(make_thread(thread_id, title="Title"), context=user)
    for number, body in enumerate(bodies):
        item = make_item(f"msg_{number}", body, thread_id)
        await store.add_thread_item(thread_id, item, context=user)


async def _hits(store: SqlStore, query: str, user: RequestContext = ADA) -> list[SearchHit]:
    return await search_messages(store.database, user.user.id, query, limit=10)


async def _found(store: SqlStore, query: str, user: RequestContext = ADA) -> list[str]:
    return [hit.item_id for hit in await _hits(store, query, user)]


async def test_a_hit_says_where_it_is_with_the_words_around_it(store: SqlStore) -> None:
    before, after = " ".join(["before"] * 200), " ".join(["after"] * 200)
    await _say(store, f"{before} the Needle, here {after}")

    (hit,) = await _hits(store, "needle")

    assert (hit.thread_id, hit.item_id, hit.title) == ("thr_ada", "msg_0", "Title")
    assert "**Needle**" in hit.snippet
    assert len(hit.snippet.split()) < 30


async def test_messages_with_any_word_match_and_the_best_comes_first(store: SqlStore) -> None:
    await _say(
        store, "only apples here", "nothing of it", "apples, pears and plums", "apples pears"
    )

    found = await _found(store, "pears apples plums")

    assert found == ["msg_2", "msg_3", "msg_0"]


async def test_of_equal_matches_the_newest_come_first_up_to_the_limit(store: SqlStore) -> None:
    await _say(store, *["the same words"] * 4)

    hits = await search_messages(store.database, "ada", "same", limit=3)

    assert [hit.item_id for hit in hits] == ["msg_3", "msg_2", "msg_1"]


async def test_case_and_punctuation_make_no_difference(store: SqlStore) -> None:
    await _say(store, "He said: 'WELL-known, e.g. snake_case (and C++)!'")

    for query in ("well", "Known", "SNAKE", "case?", "c++", "snake_case", "well-known"):
        assert await _found(store, query) == ["msg_0"], query


async def test_operators_in_a_query_are_words(store: SqlStore) -> None:
    await _say(store, "a:b & c", "nothing of that")

    hostile = "a:b & c | ! ( ) ' \" * NEAR OR and -"
    for query in (hostile, hostile[::-1], "a*", "NEAR(a, 2)", "text:a", "a' OR '1'='1", "^a \\ $1"):
        assert await _found(store, query) == ["msg_0"], query
    for query in ("NOT nothingness", "zzz OR", "-nothingness", "{text}: zzz", "noth*"):
        assert await _found(store, query) == [], query


async def test_a_query_without_a_word_finds_nothing(store: SqlStore) -> None:
    await _say(store, "some words and _ too")

    for query in ("", " ", "_", "___ __", "!?&|*()", "' \" \\", "\x00", "😀", "…", "½", "²"):
        assert await _found(store, query) == [], query


async def test_a_query_may_be_of_any_length(store: SqlStore) -> None:
    await _say(store, "needle")

    assert await _found(store, "needle " + "straw " * 10_000) == ["msg_0"]
    assert await _found(store, "w" * 5000) == []
    assert await _found(store, "w" * 5000 + " needle") == ["msg_0"]


async def test_a_user_finds_only_their_own_messages(store: SqlStore) -> None:
    await _say(store, "a secret of Ada")
    await _say(store, "a secret of Eve", user=EVE)

    (hit,) = await _hits(store, "secret")

    assert hit.thread_id == "thr_ada"
    assert await _hits(store, "secret", context_of("nobody")) == []
    assert await _hits(store, "user ada eve") == await _hits(store, "ada")


async def test_a_users_id_may_be_any_text(store: SqlStore) -> None:
    for user_id in USERS:
        await _say(store, "the same word", user=context_of(user_id))

    for user_id in USERS:
        hits = await _hits(store, "word", context_of(user_id))
        assert [hit.thread_id for hit in hits] == [f"thr_{user_id}"]


async def test_changed_and_deleted_messages_are_found_in_their_current_state(
    store: SqlStore,
) -> None:
    await _say(store, "old words", "other words")

    await store.save_item("thr_ada", make_item("msg_0", "new words", "thr_ada"), context=ADA)
    await store.save_thread(make_thread("thr_ada", title="New title"), context=ADA)

    assert await _found(store, "old") == []
    assert await _found(store, "new") == ["msg_0"]
    assert {hit.title for hit in await _hits(store, "words")} == {"New title"}

    await store.delete_thread_item("thr_ada", "msg_0", context=ADA)
    assert await _found(store, "new words") == ["msg_1"]

    await store.delete_thread("thr_ada", context=ADA)
    assert await _found(store, "words") == []


async def test_a_text_that_becomes_empty_and_back_is_followed(store: SqlStore) -> None:
    await _say(store, "words")
    for body, expected in (("", []), ("words again", ["msg_0"]), ("", [])):
        await store.save_item("thr_ada", make_item("msg_0", body, "thr_ada"), context=ADA)

        assert await _found(store, "words") == expected


async def test_only_messages_are_found(store: SqlStore) -> None:
    await store.save_thread(make_thread(), context=ADA)
    items = every_item(THREAD)
    for item in items:
        await store.add_thread_item(THREAD, item, context=ADA)

    found = await _found(store, "hello answer custom words text for the SDK")

    messages = [item for item in items if isinstance(item, UserMessageItem | AssistantMessageItem)]
    assert set(found) == {item.id for item in messages if item.content}


@pytest.mark.parametrize(
    "filler",
    [
        "wörd " * 1_000_000,
        "w" * 5_000_000,
        "\U00010400-\U00010401 " * 300_000,
        "".join(f"{number}.example.com/{number} " for number in range(100_000)),
    ],
    ids=["words", "one word", "astral", "addresses"],
)
async def test_a_large_message_is_found_by_an_early_word(store: SqlStore, filler: str) -> None:
    await _say(store, f"needle \x00 {filler}", "straw")

    (hit,) = await _hits(store, "needle")

    assert hit.item_id == "msg_0"
    assert "**needle**" in hit.snippet
