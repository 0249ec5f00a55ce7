"""The user's threads as entities, which messages can mention and answers can cite."""

from collections.abc import AsyncIterator, Sequence

from chatkit.icons import IconName
from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata
from sqlalchemy import Connection

from chatkit_engine.assistant.entities import Entity
from chatkit_engine.context import User
from chatkit_engine.i18n import _
from chatkit_engine.run.history import History, turns_of
from chatkit_engine.store import threads
from chatkit_engine.store.database import Database
from chatkit_engine.store.items import UNTRUSTED, StoredItem, item_text

PAGE = 200
MAX_SEARCHED = 1_000
MAX_ITEMS = 20
MAX_TOKENS = 1_000
ICON: IconName = "book-clock"
GROUP = _("Conversations")
UNTITLED = _("Untitled")


class ThreadEntities:
    """Searches the titles of the newest 1,000 threads. Threads without a title are not found."""

    kind = "thr"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, user: User, query: str, limit: int) -> list[Entity]:
        return await self._database.read(_search, user.id, query, limit)

    async def load(self, user: User, entity_id: str) -> Entity | None:
        try:
            return _entity(await self._database.read(threads.load_thread, entity_id, user.id))
        except NotFoundError:
            return None

    async def describe(self, user: User, entity: Entity) -> str:
        """Return the title and the newest turns, up to 1,000 tokens."""
        past = await self._database.read(
            threads.load_history_page, entity.id, None, MAX_ITEMS, user.id
        )
        newest = await History(MAX_TOKENS).select(turns_of(_newest_first(past.items)))
        texts = [text for item in newest if (text := item_text(item))]
        return "\n".join([f"An earlier conversation: {entity.title}", *texts])


def _search(connection: Connection, user_id: str, query: str, limit: int) -> list[Entity]:
    found: list[Entity] = []
    after, searched = None, 0
    while len(found) < limit and searched < MAX_SEARCHED:
        page = threads.load_threads(connection, after, PAGE, "desc", user_id)
        found += [
            _entity(thread)
            for thread in page.data
            if thread.title and query.casefold() in thread.title.casefold()
        ]
        after, searched = page.after, searched + PAGE
        if not page.has_more:
            break
    return found[:limit]


def _entity(thread: ThreadMetadata) -> Entity:
    return Entity(
        id=thread.id,
        title=thread.title or UNTITLED,
        icon=ICON,
        group=GROUP,
        untrusted=UNTRUSTED in thread.metadata,
    )


async def _newest_first(items: Sequence[StoredItem]) -> AsyncIterator[StoredItem]:
    for item in reversed(items):
        yield item
