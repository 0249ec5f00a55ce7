"""The setting of a run: one database, the fake model, and servers that use both."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.postgres import Postgres
from chatkit_engine.testing.requests import Json, op, text_of
from support.app import Server, running_server
from support.failures.told import Told

MAX_ITEMS = 1000
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """Servers that are started here share the database: PostgreSQL's, or a file of SQLite."""

    folder: Path
    database_url: str
    model_api: FakeModelApi
    postgres: Postgres | None = None

    def serve(self) -> AbstractContextManager[Server]:
        return running_server(
            self.folder,
            DATABASE_URL=self.database_url,
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=self.model_api.url,
            LLM_MODEL="fake",
            THREAD_TITLES="false",
            MAX_USER_TURNS="1000",
            LOG_LEVEL="WARNING",
        )


def sqlite_site(folder: Path, model_api: FakeModelApi) -> Site:
    return Site(folder, f"sqlite:///{folder}/chat.db", model_api)


def postgres_site(folder: Path, postgres: Postgres, model_api: FakeModelApi) -> Site:
    return Site(folder, postgres.create_database(), model_api, postgres)


def client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.url, timeout=TIMEOUT_SECONDS)


async def stored_items(http: httpx2.AsyncClient, thread: str) -> list[Json]:
    """Return a thread's items, oldest first."""
    request = op("items.list", thread_id=thread, order="asc", limit=MAX_ITEMS)
    return (await http.post("/chatkit", json=request)).raise_for_status().json()["data"]


def messages_of(items: list[Json], told: Told) -> list[Json]:
    """Return the items that hold what the client has sent: one, when all is well."""
    return [i for i in items if i["id"] == told.message_id and text_of(i) == told.question]


def answer_to(items: list[Json], told: Told) -> str:
    """Return the text that is stored after the message, up to the next one."""
    places = [place for place, item in enumerate(items) if item["id"] == told.message_id]
    texts: list[str] = []
    for item in items[places[0] + 1 :] if places else []:
        if item["type"] == "user_message":
            break
        texts.append(text_of(item))
    return "".join(texts)
