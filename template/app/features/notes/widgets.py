"""The widget that lists notes, and the actions of its buttons."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot, WidgetTemplate
from pydantic import BaseModel, StringConstraints

from app.features.notes.rows import Note
from app.features.notes.service import Notes
from chatkit_engine import AnyAction, NotFound, TurnContext, _, sync_action, widget_action

LISTED = 10

MAX_SHOWN = 300

KEY = "notes"

TITLE, NONE = _("Your notes"), _("none yet")

PIN, UNPIN, DELETE = _("Pin"), _("Unpin"), _("Delete")

WIDGET = WidgetTemplate.from_file("notes.widget")

NoteId = Annotated[str, StringConstraints(max_length=100)]


class Chosen(BaseModel):
    """The note whose button was pressed."""

    note: NoteId


class Pinned(Chosen):
    """Whether to pin the note or to unpin it."""

    pinned: bool


def create_actions(notes: Notes) -> list[AnyAction]:
    @widget_action("notes.delete", Chosen)
    async def delete_note(context: TurnContext, sender: WidgetItem | None, payload: Chosen) -> None:
        try:
            await notes.delete(context.user, payload.note)
            await context.remember(f"The user has deleted the note {payload.note}.")
        except NotFound as gone:
            await context.notice("info", gone.detail)
        if sender is not None and sender.widget.key == KEY:
            await context.replace(sender, await list_widget(context, notes))

    @sync_action("notes.pin", Pinned)
    async def pin_note(
        context: TurnContext, sender: WidgetItem | None, payload: Pinned
    ) -> WidgetItem | None:
        await notes.pin(context.user, payload.note, payload.pinned)
        if sender is None or sender.widget.key != KEY:
            return None
        return sender.model_copy(update={"widget": await list_widget(context, notes)})

    return [delete_note, pin_note]


async def list_as_it_comes(context: TurnContext, notes: Notes) -> AsyncGenerator[WidgetRoot, None]:
    """Yield the list as it loads: the title, then the number of notes, then the notes."""
    yield _build(context, context.translate(TITLE), loading=True)
    headline = await _headline(context, notes)
    yield _build(context, headline, loading=True)
    yield _build(context, headline, await notes.pinned_first(context.user, LISTED))


async def list_widget(context: TurnContext, notes: Notes) -> DynamicWidgetRoot:
    """Return the list as it is now."""
    found = await notes.pinned_first(context.user, LISTED)
    return _build(context, await _headline(context, notes), found)


async def _headline(context: TurnContext, notes: Notes) -> str:
    count = await notes.count(context.user)
    return f"{context.translate(TITLE)}: {count or context.translate(NONE)}"


def _build(
    context: TurnContext,
    headline: str,
    found: Sequence[Note] = (),
    *,
    loading: bool = False,
) -> DynamicWidgetRoot:
    data = {
        "key": KEY,
        "headline": headline,
        "loading": loading,
        "notes": [_row(note) for note in found],
        "pin": context.translate(PIN),
        "unpin": context.translate(UNPIN),
        "delete": context.translate(DELETE),
    }
    return WIDGET.build(data)


def _row(note: Note) -> dict[str, object]:
    cut = len(note.text) > MAX_SHOWN
    text = f"{note.text[:MAX_SHOWN]}…" if cut else note.text
    return {"id": note.id, "text": text, "pinned": note.pinned}
