"""A draft of a note: the user edits it in a form, and saves or discards it.

The note's id is made with the draft, so that a repeated request saves it only once. The stored
widget says whether the draft is still open, because a request cannot be trusted with that.
"""

from typing import Annotated, Any

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic import StringConstraints

from app.features.notes.service import MAX_TEXT, Notes
from app.features.notes.widgets import Chosen
from chatkit_engine import AnyAction, AppError, Text, TurnContext, _, new_id, widget_action

KEY = "notes.draft"

OPEN, SAVED, DISCARDED = _("Draft of a note"), _("Saved as a note"), _("Discarded")

SAVE, DISCARD = _("Save"), _("Discard")

DECIDED = _("This draft was saved or discarded already.")

WIDGET = WidgetTemplate.from_file("draft.widget")


class Saved(Chosen):
    """The draft's text as the user has edited it."""

    text: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_TEXT)]


async def show_draft(context: TurnContext, text: str) -> None:
    """Show a note that is not stored yet."""
    await context.show(_build(context, OPEN, text, new_id("note")), copy_text=text)


def create_actions(notes: Notes) -> list[AnyAction]:
    @widget_action("notes.draft.save", Saved)
    async def save(context: TurnContext, sender: WidgetItem | None, payload: Saved) -> None:
        if sender is None or _open_note(sender) != payload.note:
            await context.notice("warning", DECIDED)
            return
        try:
            await notes.keep(context.user, payload.note, payload.text)
        except AppError as refused:
            await context.notice("warning", refused.detail)
            return
        await context.remember(f"The user has saved the draft as the note {payload.note}.")
        await context.replace(sender, _build(context, SAVED, payload.text), payload.text)

    @widget_action("notes.draft.discard", Chosen)
    async def discard(context: TurnContext, sender: WidgetItem | None, payload: Chosen) -> None:
        if sender is None or _open_note(sender) != payload.note:
            await context.notice("warning", DECIDED)
            return
        await context.remember("The user has discarded the draft. It was not kept.")
        await context.replace(sender, _build(context, DISCARDED, sender.copy_text or ""))

    return [save, discard]


def _open_note(sender: WidgetItem) -> str | None:
    """Return the id of the note that an open draft will become, or None."""
    card: dict[str, Any] = sender.widget.model_dump()
    if card.get("key") != KEY or "confirm" not in card:
        return None
    return card["confirm"]["action"]["payload"]["note"]


def _build(
    context: TurnContext, state: str, text: str, note: str | None = None
) -> DynamicWidgetRoot:
    data: dict[str, Any] = {
        "key": KEY,
        "open": note is not None,
        "note": note,
        "text": text,
        "state": context.translate(state),
        "save": context.translate(SAVE),
        "discard": context.translate(DISCARD),
    }
    return WIDGET.build(data)
