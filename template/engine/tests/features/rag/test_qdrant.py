"""Tests what only Qdrant has: a server that may fail, and collections that others share."""

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from features.rag.corpus import ADA, DIMENSIONS, EMBEDDER, EVE, random_vectors, unit
from qdrant_client import AsyncQdrantClient

from chatkit_engine.errors import Unavailable
from chatkit_engine.features.rag.vectors.qdrant import QdrantStore, connect
from chatkit_engine.features.rag.vectors.store import SHARED, Vectors, VectorStore
from chatkit_engine.i18n import translate
from chatkit_engine.testing.ports import free_port

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

NORTH, EAST = unit(1), unit(0, 1)
KEY = "a-key-that-nobody-may-see"
CALLS: dict[str, Callable[[VectorStore], Awaitable[object]]] = {
    "add": lambda store: store.add(Vectors(ADA, "doc", ["chunk"], NORTH)),
    "remove": lambda store: store.remove(ADA, ["chunk"]),
    "remove_user": lambda store: store.remove_user(ADA),
    "search": lambda store: store.search(ADA, NORTH, 5),
}
TROUBLES = {
    "401": "HTTP/1.1 401 Unauthorized\r\ncontent-length: 12\r\n\r\nforbidden-12",
    "429": 'HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 15\r\n\r\n{"status":null}',
    "500": "HTTP/1.1 500 Broken\r\ncontent-length: 5\r\n\r\npanic",
    "no JSON": "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ok>",
    "another JSON": "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n[1,2,3]",
    "no result": 'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"result":null}',
    "no HTTP": "220 ready\r\n",
    "nothing": "",
}


@asynccontextmanager
async def _answering(answer: str) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Serve one answer to whatever is asked, and keep what was asked."""
    asked: list[bytes] = []

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def _store(url: str) -> QdrantStore:
    return QdrantStore(connect(url, KEY), EMBEDDER, DIMENSIONS, place=url)


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_is_not_there_is_unavailable(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with aclosing(_store(f"http://127.0.0.1:{free_port()}")) as store:
        with pytest.raises(Unavailable) as refused:
            await CALLS[call](store)

    advice = "The documents cannot be searched at the moment. Try again later."
    assert refused.value.detail == advice
    assert translate(refused.value.detail, "de").startswith("Die Dokumente")
    assert KEY not in caplog.text


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_any_wrong_answer_of_a_server_is_unavailable(trouble: str, call: str) -> None:
    async with _answering(TROUBLES[trouble]) as (url, asked), aclosing(_store(url)) as store:
        with pytest.raises(Unavailable) as refused:
            await CALLS[call](store)

    assert "cannot be searched at the moment" in refused.value.detail
    assert f"api-key: {KEY}".encode() in asked[0]


async def test_requests_are_not_logged_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    assert logging.getLogger("httpx").getEffectiveLevel() >= logging.WARNING


async def test_stores_of_other_servers_and_projects_have_other_names() -> None:
    client = AsyncQdrantClient(":memory:")
    url = "https://qdrant.example.com"
    stores = [
        QdrantStore(client, EMBEDDER, DIMENSIONS, "documents", url),
        QdrantStore(client, EMBEDDER, DIMENSIONS, "documents", f"{url}/two"),
        QdrantStore(client, EMBEDDER, DIMENSIONS, "others", url),
    ]

    assert len({store.name for store in stores}) == len(stores)
    assert all("example" not in store.name for store in stores)
    await client.close()


async def test_a_user_is_removed_from_all_collections_of_the_project_only() -> None:
    client = AsyncQdrantClient(":memory:")
    now, before, others = (
        QdrantStore(client, embedder, DIMENSIONS, collections)
        for embedder, collections in (("now", "docs"), ("before", "docs"), ("now", "docs-2"))
    )
    for store in (now, before, others):
        await store.add(Vectors(ADA, "doc", ["ada's"], NORTH))
        await store.add(Vectors(EVE, "doc", ["eve's"], NORTH))

    await now.remove_user(ADA)

    left = [await _all_of(store, ADA) + await _all_of(store, EVE) for store in (now, before)]
    assert left == [["eve's"], ["eve's"]]
    assert await _all_of(others, ADA) == ["ada's"]
    await client.close()


async def test_a_collection_that_vanishes_is_created_again() -> None:
    client = AsyncQdrantClient(":memory:")
    store = QdrantStore(client, EMBEDDER, DIMENSIONS)
    await store.add(Vectors(SHARED, "doc", ["chunk"], NORTH))
    for collection in (await client.get_collections()).collections:
        await client.delete_collection(collection.name)
    again = QdrantStore(client, EMBEDDER, DIMENSIONS)

    assert await _all_of(again, ADA) == []
    await again.add(Vectors(SHARED, "doc", ["chunk"], NORTH))
    assert await _all_of(again, ADA) == ["chunk"]
    await client.close()


async def test_stores_that_add_at_once_share_one_collection() -> None:
    client = AsyncQdrantClient(":memory:")
    stores = [QdrantStore(client, EMBEDDER, DIMENSIONS) for _ in range(5)]

    matrix = random_vectors(300, 1)
    await asyncio.gather(
        *(
            store.add(Vectors(ADA, "doc", [f"{number}-{row}" for row in range(300)], matrix))
            for number, store in enumerate(stores)
        )
    )

    assert len((await client.get_collections()).collections) == 1
    assert len(await _all_of(stores[0], ADA)) == 1500
    await client.close()


async def _all_of(store: VectorStore, user: str) -> list[str]:
    [found] = await store.search(user, NORTH, 10_000)
    return [match.chunk_id for match in found]
