"""Tests the local embedder, and models over an API like OpenAI's."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError
from support.app import TESTS, make_settings

from chatkit_engine.features.rag.components import create_embedder
from chatkit_engine.features.rag.embeddings.embedder import Embedder
from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.embeddings.openai import OpenAiEmbedder
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.settings.base import settings_errors
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.fake_model_api.embeddings import vector_of

TEXTS = ["Wie groß ist die Brücke?", "def f(): pass", "", "naïve café 東京", "the of and"]
NO_ANSWERS: list[Any] = [
    {},
    [],
    {"data": None},
    {"data": []},
    {"data": [{"index": 1, "embedding": [1.0] * 1536}]},
    {"data": [{"index": 0, "embedding": [1.0] * 1536}] * 2},
    {"data": [{"index": 0, "embedding": [0.0] * 1536}]},
    {"data": [{"index": 0, "embedding": ["x"] * 1536}]},
    {"data": [{"index": 0, "embedding": None}]},
    {"data": [{"index": 0, "embedding": []}]},
    {"data": [{"index": 0, "embedding": "no base64!"}]},
    {"data": [{"embedding": [1.0] * 1536}]},
]
PRINT_VECTORS = """
import asyncio, hashlib
from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from features.rag.test_embedders import TEXTS
print(hashlib.sha256(asyncio.run(LocalEmbedder().embed(TEXTS)).tobytes()).hexdigest())
"""


def _create(core: dict[str, Any], **own: Any) -> Embedder:
    return create_embedder(RagSettings(**own), make_settings(**core))


@asynccontextmanager
async def _asking(
    api: FakeModelApi, core: dict[str, Any] | None = None, **own: Any
) -> AsyncGenerator[Embedder]:
    """An embedder whose model the fake stands for."""
    chosen = {"openai_api_key": "sk-test", "openai_base_url": api.url, "llm_max_retries": 1}
    embedder = _create(chosen | (core or {}), **own)
    yield embedder
    await embedder.aclose()


async def _failure(embedder: Embedder) -> EmbeddingsUnavailable:
    with pytest.raises(EmbeddingsUnavailable) as failed:
        await embedder.embed(["a"])
    assert failed.value.detail == "The documents cannot be searched at the moment. Try again later."
    return failed.value


async def _similarity(first: str, second: str) -> float:
    matrix = await LocalEmbedder().embed([first, second])
    return float(matrix[0] @ matrix[1])


@pytest.mark.slow
async def test_the_local_embedder_is_the_same_in_another_process() -> None:
    here = sha256((await LocalEmbedder().embed(TEXTS)).tobytes()).hexdigest()
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"

    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PRINT_VECTORS],
        env={"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
        text=True,
    )

    assert process.stdout.strip() == here


async def test_a_local_vector_does_not_depend_on_the_texts_beside_it() -> None:
    texts = [f"text number {number} of many" for number in range(100)]

    together = await LocalEmbedder().embed(texts)
    apart = [(await LocalEmbedder().embed([text]))[0] for text in texts]

    assert np.array_equal(together, apart)
    assert together.dtype == np.float32
    assert (await LocalEmbedder().embed([])).shape == (0, 384)


async def test_each_local_vector_has_unit_length_even_of_an_empty_text() -> None:
    matrix = await LocalEmbedder().embed([*TEXTS, "!!!", "\n", "a" * 100_000, "x " * 50_000])

    assert np.allclose(np.linalg.norm(matrix, axis=1), 1)


async def test_texts_that_share_words_have_similar_local_vectors() -> None:
    question = "How do I calibrate the nectar scale?"
    floor = LocalEmbedder.min_similarity

    assert await _similarity(question, "Calibrating the scale: weigh the nectar first.") > floor
    assert await _similarity(question, "Quiet hours hold warnings back until morning.") < floor
    assert await _similarity("Größe der Brücke", "GROSSE BRUCKE") > await _similarity(
        "Größe der Brücke", "Kleine Straße"
    )


async def test_stop_words_do_not_make_texts_similar() -> None:
    assert await _similarity("what is the use of this", "what is the name of that") < 0.9
    assert await _similarity("what is the price of honey", "what is the age of Rome") < 0.2


async def test_vectors_of_a_model_are_in_order_and_of_unit_length(model_api: FakeModelApi) -> None:
    texts = ["one two", "three", "four five six"]
    async with _asking(model_api) as embedder:
        matrix = await embedder.embed(texts)

    expected = np.array([vector_of(text) for text in texts]) / 2
    assert np.allclose(matrix, expected, atol=1e-6)
    assert embedder.name == "text-embedding-3-small-1536"
    [request] = model_api.embeddings.requests
    assert request["encoding_format"] == "base64"
    assert "dimensions" not in request
    assert model_api.embeddings.headers[0]["authorization"] == "Bearer sk-test"


async def test_many_texts_are_sent_in_batches(model_api: FakeModelApi) -> None:
    many = [f"text {number}" for number in range(300)]
    long = ["x" * 7_000] * 20
    async with _asking(model_api) as embedder:
        matrix = await embedder.embed(many + long)

    sizes = [len(request["input"]) for request in model_api.embeddings.requests]
    assert sum(sizes) == 320
    assert sizes[0] == 256
    for request in model_api.embeddings.requests:
        assert sum(map(len, request["input"])) <= 100_000
    assert np.allclose(matrix[299], np.array(vector_of("text 299")) / 2, atol=1e-6)


async def test_a_text_is_cut_to_the_length_that_models_accept(model_api: FakeModelApi) -> None:
    async with _asking(model_api) as embedder:
        await embedder.embed(["€" * 10_000, " \n "])

    cut, empty = model_api.embeddings.texts
    assert len(cut.encode()) <= 8000
    assert set(cut) == {"€"}
    assert empty.strip()


async def test_shorter_vectors_are_requested_if_configured(model_api: FakeModelApi) -> None:
    async with _asking(model_api, embedding_dimensions=256) as embedder:
        matrix = await embedder.embed(["a"])

    assert matrix.shape == (1, 256)
    assert embedder.name == "text-embedding-3-small-256"
    assert model_api.embeddings.requests[0]["dimensions"] == 256


async def test_a_busy_api_is_retried_after_the_time_that_it_names(model_api: FakeModelApi) -> None:
    model_api.embeddings.script(Reply(status=429, headers={"Retry-After": "0.01"}))
    async with _asking(model_api) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, 1536)

    assert len(model_api.embeddings.requests) == 2


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (Reply(status=401), "EMBEDDING_API_KEY"),
        (Reply(status=403), "OPENAI_API_KEY"),
        (Reply(status=404), "EMBEDDING_MODEL"),
        (Reply(status=400), "refused the texts"),
        (Reply(status=429), "rate limit"),
        (Reply(status=500), "does not answer"),
        (Reply(cut_after_words=0), "does not answer"),
    ],
)
async def test_a_failure_is_reported_without_the_apis_text(
    model_api: FakeModelApi, reply: Reply, advice: str
) -> None:
    model_api.embeddings.script(reply)
    async with _asking(model_api, {"llm_max_retries": 0}) as embedder:
        failure = await _failure(embedder)

    assert advice in failure.advice
    assert "scripted" not in f"{failure} {failure.advice}"
    assert failure.status == 503


@pytest.mark.parametrize("seconds", [0.0, 0.01])
async def test_an_answer_that_never_ends_is_a_failure(
    model_api: FakeModelApi, seconds: float
) -> None:
    endless = Reply(endless=b" " * 65536, endless_seconds=seconds)
    model_api.embeddings.script(endless, endless)
    async with _asking(model_api, {"llm_answer_timeout_seconds": 0.5}) as embedder:
        failure = await _failure(embedder)

    assert "does not answer" in failure.advice


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=lambda answer: str(answer)[:40])
async def test_an_invalid_answer_is_an_error(model_api: FakeModelApi, answer: Any) -> None:
    model_api.embeddings.answer = answer
    async with _asking(model_api) as embedder:
        await _failure(embedder)


async def test_vectors_of_the_wrong_length_are_reported(model_api: FakeModelApi) -> None:
    model_api.embeddings.answer = {"data": [{"index": 0, "embedding": [1.0] * 768}]}
    url = model_api.url
    async with _asking(
        model_api, embedding_base_url=url, embedding_model="mine", embedding_dimensions=700
    ) as embedder:
        failure = await _failure(embedder)

    assert "768: set EMBEDDING_DIMENSIONS" in failure.advice


async def test_a_custom_server_never_gets_openais_key(model_api: FakeModelApi) -> None:
    own: dict[str, Any] = {"embedding_base_url": model_api.url}
    async with _asking(model_api, None, **own) as embedder:
        await embedder.embed(["a"])
    async with _asking(model_api, None, embedding_api_key=SecretStr("own"), **own) as embedder:
        await embedder.embed(["a"])

    sent = [headers["authorization"] for headers in model_api.embeddings.headers]
    assert sent == ["Bearer none", "Bearer own"]


@pytest.mark.parametrize(
    ("core", "own"),
    [
        ({}, {}),
        ({"llm_provider": "groq", "groq_api_key": "gsk"}, {}),
        ({"llm_provider": "gemini", "gemini_api_key": "AI"}, {}),
        ({"openai_api_key": "sk-test"}, {"embedding_model": "local"}),
    ],
)
def test_the_local_embedder_is_used_without_a_key(
    core: dict[str, Any], own: dict[str, Any]
) -> None:
    assert isinstance(_create(core, **own), LocalEmbedder)


@pytest.mark.parametrize(
    ("core", "own", "name"),
    [
        ({"openai_api_key": "sk"}, {}, "text-embedding-3-small-1536"),
        ({}, {"embedding_api_key": "sk"}, "text-embedding-3-small-1536"),
        (
            {"openai_api_key": "sk"},
            {"embedding_model": "text-embedding-3-large"},
            "text-embedding-3-large-3072",
        ),
        (
            {},
            {
                "embedding_base_url": "http://127.0.0.1:1/v1",
                "embedding_model": "mine",
                "embedding_dimensions": 768,
            },
            "mine-768",
        ),
    ],
)
async def test_the_settings_choose_a_model(
    core: dict[str, Any], own: dict[str, Any], name: str
) -> None:
    embedder = _create(core, **own)
    assert isinstance(embedder, OpenAiEmbedder)
    assert embedder.name == name
    await embedder.aclose()


@pytest.mark.parametrize(
    ("core", "own", "says"),
    [
        ({"openai_api_key": "sk"}, {"embedding_model": "mine"}, "EMBEDDING_DIMENSIONS: set it"),
        ({}, {"embedding_model": "text-embedding-3-small"}, "EMBEDDING_MODEL: needs"),
        ({"llm_provider": "groq", "groq_api_key": "g"}, {"embedding_model": "x"}, "OPENAI_API_KEY"),
    ],
)
def test_a_missing_setting_stops_the_start_with_the_fix(
    core: dict[str, Any], own: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        _create(core, **own)

    assert says in settings_errors(refused.value)[0]
