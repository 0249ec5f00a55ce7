"""Things that a message may name with `@` and an answer may cite, looked up as the user."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple, Protocol, Self

from chatkit.icons import IconName
from chatkit.types import UserMessageItem, UserMessageTagContent
from chatkit.widgets import DynamicWidgetRoot, WidgetTemplate
from pydantic import BaseModel, Field

from chatkit_engine.context import User
from chatkit_engine.i18n import translate
from chatkit_engine.store.items import StoredItem

MAX_TAGS = 20
MAX_DESCRIBED = 20_000
MAX_PREVIEW = 500
PREVIEW = WidgetTemplate.from_file("entity.widget")


class Entity(BaseModel):
    """A thing as ChatKit.js lists it. `data` goes to the front end's callbacks.

    What is said of it is `untrusted` where it may have a text of somebody else in it.
    """

    id: str
    title: str
    icon: IconName | None = None
    group: str | None = None
    interactive: bool = True
    data: dict[str, str] = {}
    untrusted: bool = Field(default=False, exclude=True)

    def in_language(self, language: str) -> Self:
        """Return it with our own words for its group in the user's language."""
        return self.model_copy(update={"group": self.group and translate(self.group, language)})


class Described(NamedTuple):
    """What the model is told of things, by their ids, and whether that may be somebody else's."""

    texts: dict[str, str]
    untrusted: bool


class Entities(Protocol):
    """Users' things of one kind. `kind` is what their ids begin with: `note` of `note_1f…`."""

    kind: str

    async def search(self, user: User, query: str, limit: int) -> Sequence[Entity]:
        """Return the user's things that fit what was typed, the best first; all fit nothing."""
        ...

    async def load(self, user: User, entity_id: str) -> Entity | None:
        """Return one of the user's things."""
        ...

    async def describe(self, user: User, entity: Entity) -> str:
        """Return what the model, and the user in a preview, are told of it."""
        ...


class EntityLookup:
    """The application's entities of every kind."""

    def __init__(self, kinds: Iterable[Entities] = ()) -> None:
        self._kinds = {entities.kind: entities for entities in kinds}

    async def search(self, user: User, query: str, limit: int) -> list[Entity]:
        """Return what fits, of each kind in turn."""
        found = [await kind.search(user, query, limit) for kind in self._kinds.values()]
        in_turn = (entity for rank in zip_longest(*found) for entity in rank)
        return [entity for entity in in_turn if entity is not None][:limit]

    async def preview(self, user: User, entity_id: str, language: str) -> DynamicWidgetRoot | None:
        """Return what the front end shows where the pointer rests on an entity."""
        found = await self._find(user, entity_id)
        if found is None:
            return None
        entity, text = found[0].in_language(language), found[1][:MAX_PREVIEW]
        return PREVIEW.build({"title": entity.title, "group": entity.group or "", "text": text})

    async def described(self, user: User, history: Iterable[StoredItem]) -> Described:
        """Return what the model is told of the newest things that a history names."""
        newest_first = dict.fromkeys(tag.id for tag in reversed(list(_tags(history))))
        described: dict[str, str] = {}
        untrusted = False
        left = MAX_DESCRIBED
        for entity_id in list(newest_first)[:MAX_TAGS]:
            if (found := await self._find(user, entity_id)) and left > 0:
                described[entity_id] = found[1][:left]
                left -= len(described[entity_id])
                untrusted |= found[0].untrusted
        return Described(described, untrusted)

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
