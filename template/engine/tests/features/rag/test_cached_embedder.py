"""Vectors of queries are cached for a while, separately for each user."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from features.rag.test_embedders import TEXTS
from support.app import make_settings

from chatkit_engine.features.rag.components import create_embedder
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.waiting import eventually

FOREVER = 1e9


@pytest.fixture
async def cached(model_api: FakeModelApi) -> AsyncGenerator[CachedEmbedder]:
    embedder = _cached(model_api, FOREVER)
    yield embedder
    await embedder.aclose()


def _cached(api: FakeModelApi, seconds: float, entries: int = 100) -> CachedEmbedder:
    core = make_settings(openai_api_key="sk-test", openai_base_url=api.url, llm_max_retries=0)
    return CachedEmbedder(create_embedder(RagSettings(), core), seconds, entries)


async def test_a_query_is_embedded_once(cached: CachedEmbedder, model_api: FakeModelApi) -> None:
    first = await cached.embed_for("ada", ["one", "two", "one"])
    second = await cached.embed_for("ada", ["two", "three"])

    assert model_api.embeddings.texts == ["one", "two", "three"]
    assert len(model_api.embeddings.requests) == 2
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[1], second[0])
    assert (await cached.embed_for("ada", [])).shape == (0, 1536)


async def test_nothing_is_shared_between_users(
    cached: CachedEmbedder, model_api: FakeModelApi
) -> None:
    for user in ("ada", "eve"):
        await cached.embed_for(user, ["one"])

    assert model_api.embeddings.texts == ["one", "one"]


async def test_concurrent_equal_queries_are_embedded_once(
    cached: CachedEmbedder, model_api: FakeModelApi
) -> None:
    found = await asyncio.gather(*(cached.embed_for("ada", ["one", "two"]) for _ in range(10)))

    assert model_api.embeddings.texts == ["one", "two"]
    assert all(np.array_equal(each, found[0]) for each in found)


async def test_a_cancelled_caller_does_not_cancel_the_query_for_others(
    cached: CachedEmbedder, model_api: FakeModelApi
) -> None:
    first = asyncio.create_task(cached.embed_for("ada", ["one"]))
    await asyncio.sleep(0)
    second = asyncio.create_task(cached.embed_for("ada", ["one"]))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).shape == (1, 1536)
    assert model_api.embeddings.texts == ["one"]


async def test_a_failure_reaches_all_callers_and_is_not_cached(
    cached: CachedEmbedder, model_api: FakeModelApi
) -> None:
    model_api.embeddings.script(Reply(status=500))
    asked = (cached.embed_for("ada", ["one"]) for _ in range(3))

    failed = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(each) for each in failed} == {EmbeddingsUnavailable}
    assert (await cached.embed_for("ada", ["one"])).shape == (1, 1536)


async def test_nothing_is_cached_if_the_time_is_zero(model_api: FakeModelApi) -> None:
    cached = _cached(model_api, 0)
    for _ in range(2):
        assert (await cached.embed_for("ada", ["one"])).shape == (1, 1536)
    await cached.aclose()

    assert model_api.embeddings.texts == ["one", "one"]


async def test_the_oldest_entries_make_room_for_new_ones(model_api: FakeModelApi) -> None:
    cached = _cached(model_api, FOREVER, entries=2)
    await cached.embed_for("ada", ["one", "two", "three"])
    await cached.embed_for("ada", ["three", "one"])
    await cached.aclose()

    assert model_api.embeddings.texts == ["one", "two", "three", "one"]


async def test_closing_cancels_pending_queries(model_api: FakeModelApi) -> None:
    cached = _cached(model_api, FOREVER)
    model_api.embeddings.script(Reply(hangs=True))
    waiting = asyncio.create_task(cached.embed_for("ada", TEXTS))

    async def is_asked() -> bool:
        return len(model_api.embeddings.requests) == 1

    await eventually(is_asked)
    await cached.aclose()

    with pytest.raises(asyncio.CancelledError):
        await waiting
