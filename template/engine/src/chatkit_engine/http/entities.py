"""`/api/entities`: search and preview for ChatKit.js's option `entities` (`@` in the composer)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from chatkit_engine.assistant.entities import Entity
from chatkit_engine.context import Text
from chatkit_engine.errors import NotFound
from chatkit_engine.http.dependencies import CurrentUser, Id, Language, Lookup
from chatkit_engine.i18n import _

router = APIRouter(prefix="/api/entities", tags=["entities"])
SearchText = Annotated[Text, Query(max_length=200)]
SearchLimit = Annotated[int, Query(ge=1, le=50)]


class Preview(BaseModel):
    """The result of `onRequestPreview`: a widget."""

    preview: dict[str, Any]


@router.get("", response_model_exclude_none=True)
async def search_entities(
    user: CurrentUser,
    entities: Lookup,
    language: Language,
    q: SearchText = "",
    limit: SearchLimit = 10,
) -> list[Entity]:
    """Search the user's entities (`onTagSearch`)."""
    found = await entities.search(user, q.strip(), limit)
    return [entity.in_language(language) for entity in found]


@router.get("/{entity_id}/preview")
async def preview_entity(
    entity_id: Id, user: CurrentUser, entities: Lookup, language: Language
) -> Preview:
    """Return a preview of one of the user's entities (`onRequestPreview`)."""
    widget = await entities.preview(user, entity_id, language)
    if widget is None:
        raise NotFound(_("This does not exist."))
    return Preview(preview=widget.model_dump(mode="json"))
