"""Entities: things that a message can mention with `@` and an answer can cite.

Every lookup filters on the user, because the ids in a message come from the front end.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple, Protocol, Self

from chatkit.icons import IconName
from chatkit.types import UserMessageItem, UserMessageTagContent
from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic import BaseModel, Field

from chatkit_engine.context import User
from chatkit_engine.i18n import translate
from chatkit_engine.security.outgoing_urls import with_safe_urls
from chatkit_engine.store.items import StoredItem

MAX_TAGS = 20
MAX_DESCRIBED = 20_000
MAX_PREVIEW = 500
PREVIEW = WidgetTemplate.from_file("entity.widget")


class Entity(BaseModel):
    """A thing as ChatKit.js lists it. `data` is passed to the front end's callbacks.

    `untrusted` means that its description may contain a text from an untrusted source.
    """

    id: str
    title: str
    icon: IconName | None = None
    group: str | None = None
    interactive: bool = True
    data: dict[str, str] = {}
    untrusted: bool = Field(default=False, exclude=True)

    def in_language(self, language: str) -> Self:
        """Return the entity as clients get it: its group's name in this language, and safe URLs."""
        group = self.group and translate(self.group, language)
        return with_safe_urls(self).model_copy(update={"group": group})


class Descriptions(NamedTuple):
    """What the model reads about entities, by entity id, and whether any of it is untrusted."""

    texts: dict[str, str]
    untrusted: bool


class Entities(Protocol):
    """The users' entities of one kind. `kind` is the prefix of their ids: `note` of `note_1f…`."""

    kind: str

    async def search(self, user: User, query: str, limit: int) -> Sequence[Entity]:
        """Return the entities that match the query, best first. An empty query matches all."""
        ...

    async def load(self, user: User, entity_id: str) -> Entity | None:
        """Return one of the user's entities, or None if there is no such entity."""
        ...

    async def describe(self, user: User, entity: Entity) -> str:
        """Return the description that the model reads, and that the user sees in a preview."""
        ...


class EntityLookup:
    """The application's entities of every kind."""

    def __init__(self, kinds: Iterable[Entities] = ()) -> None:
        self._kinds = {entities.kind: entities for entities in kinds}

    async def search(self, user: User, query: str, limit: int) -> list[Entity]:
        """Return the best matches, taking one of each kind in turn."""
        found = [await kind.search(user, query, limit) for kind in self._kinds.values()]
        by_rank = (entity for rank in zip_longest(*found) for entity in rank)
        return [entity for entity in by_rank if entity is not None][:limit]

    async def preview(self, user: User, entity_id: str, language: str) -> DynamicWidgetRoot | None:
        """Return the widget that the front end shows while the pointer is over the entity."""
        found = await self._find(user, entity_id)
        if found is None:
            return None
        entity, text = found[0].in_language(language), found[1][:MAX_PREVIEW]
        preview = PREVIEW.build({"title": entity.title, "group": entity.group or "", "text": text})
        return with_safe_urls(preview)

    async def describe_tags(self, user: User, history: Iterable[StoredItem]) -> Descriptions:
        """Return descriptions of the entities that the history mentions, of the newest at most 20.

        Together they have at most 20,000 characters.
        """
        # The newest first, because the limits cut off the rest.
        newest_first = dict.fromkeys(tag.id for tag in reversed(list(_tags(history))))
        texts: dict[str, str] = {}
        # The titles of the rest are read too, and nothing is known of them.
        untrusted = len(newest_first) > MAX_TAGS
        remaining = MAX_DESCRIBED
        for entity_id in list(newest_first)[:MAX_TAGS]:
            if found := await self._find(user, entity_id):
                untrusted |= found[0].untrusted
            if found and remaining > 0:
                texts[entity_id] = found[1][:remaining]
                remaining -= len(texts[entity_id])
        return Descriptions(texts, untrusted)

    async def _find(self, user: User, entity_id: str) -> tuple[Entity, str] | None:
        kind = self._kinds.get(entity_id.partition("_")[0])
        entity = await kind.load(user, entity_id) if kind else None
        if kind is None or entity is None:
            return None
        return entity, await kind.describe(user, entity)


def _tags(history: Iterable[StoredItem]) -> Iterable[UserMessageTagContent]:
    messages = (item for item in history if isinstance(item, UserMessageItem))
    parts = (part for message in messages for part in message.content)
    return (part for part in parts if isinstance(part, UserMessageTagContent))
