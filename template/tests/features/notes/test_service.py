"""The notes' service: a class that is given a database, so its tests need no application."""

import pytest

from app.features.notes.service import Notes
from app.features.notes.settings import NotesSettings
from chatkit_engine import Conflict, Database, NotFound, User

ADA, EVE = User(id="ada"), User(id="eve")


@pytest.fixture
def notes(database: Database) -> Notes:
    return Notes(database, NotesSettings())


@pytest.fixture
def few_notes(database: Database) -> Notes:
    """Notes of which a user may keep three."""
    return Notes(database, NotesSettings(notes_max_per_user=3))


async def _texts(notes: Notes, user: User = ADA) -> list[str]:
    return [note.text for note in await notes.newest(user, 10)]


async def test_the_newest_note_comes_first(notes: Notes) -> None:
    for text in ("one", "two", "three"):
        await notes.add(ADA, text)

    assert await _texts(notes) == ["three", "two", "one"]
    assert [note.text for note in await notes.newest(ADA, 2)] == ["three", "two"]


async def test_a_pinned_note_comes_before_newer_ones(notes: Notes) -> None:
    first = await notes.add(ADA, "one")
    await notes.add(ADA, "two")

    await notes.pin(ADA, first.id, pinned=True)

    assert [note.text for note in await notes.pinned_first(ADA, 10)] == ["one", "two"]


async def test_a_user_sees_only_their_own_notes(notes: Notes) -> None:
    note = await notes.add(ADA, "secret")

    assert await _texts(notes, EVE) == []
    assert await notes.load(EVE, note.id) is None
    assert await notes.search(EVE, "secret", 10) == []


async def test_a_user_changes_only_their_own_notes(notes: Notes) -> None:
    note = await notes.add(ADA, "secret")

    with pytest.raises(NotFound):
        await notes.delete(EVE, note.id)
    with pytest.raises(NotFound):
        await notes.pin(EVE, note.id, pinned=True)

    assert await notes.delete_all(EVE) == 0
    assert await notes.newest(ADA, 10) == [note]


async def test_a_deleted_note_is_gone(notes: Notes) -> None:
    note = await notes.add(ADA, "one")

    await notes.delete(ADA, note.id)

    assert await _texts(notes) == []
    with pytest.raises(NotFound):
        await notes.delete(ADA, note.id)


async def test_all_notes_are_deleted_and_counted(notes: Notes) -> None:
    for text in ("one", "two"):
        await notes.add(ADA, text)

    assert await notes.delete_all(ADA) == 2
    assert await notes.count(ADA) == 0


async def test_what_is_typed_is_found_as_it_is(notes: Notes) -> None:
    for text in ("Buy 100% milk", "Buy 100 g salt"):
        await notes.add(ADA, text)

    assert [note.text for note in await notes.search(ADA, "100%", 10)] == ["Buy 100% milk"]
    assert [note.text for note in await notes.search(ADA, "MILK", 10)] == ["Buy 100% milk"]


async def test_a_note_of_an_id_is_kept_once(notes: Notes) -> None:
    for text in ("first", "again"):
        await notes.keep(ADA, "note_1", text)

    assert await _texts(notes) == ["first"]


async def test_there_is_a_limit(few_notes: Notes) -> None:
    for text in ("one", "two", "three"):
        await few_notes.add(ADA, text)

    with pytest.raises(Conflict, match="Delete one first"):
        await few_notes.add(ADA, "four")
    assert await few_notes.add(EVE, "one")


async def test_how_much_room_is_left_is_told_near_the_limit_only(few_notes: Notes) -> None:
    assert await few_notes.room(ADA) is None

    for text in ("one", "two", "three"):
        await few_notes.add(ADA, text)

    assert await few_notes.room(ADA) == 0
