"""Who asks is known before the body of any route is read, also of an application's own."""

import gc
import tracemalloc

import pytest
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import bearer, with_jwt
from chatkit_engine.testing.features import AddFeature

FEATURE = """
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel

from chatkit_engine import Builder, CurrentUser
from chatkit_engine.http.dependencies import current_user

router = APIRouter()
inner = APIRouter()


class Card(BaseModel):
    text: str


class Deck:
    def __init__(self, user: CurrentUser) -> None:
        self.user = user


@router.post("/api/card")
async def direct(card: Card, user: CurrentUser) -> str:
    return user.id


@router.post("/api/deck")
async def nested(card: Card, deck: Annotated[Deck, Depends()]) -> str:
    return deck.user.id


@inner.post("/api/included")
async def included(card: Card) -> str:
    return card.text


@router.post("/api/raw")
async def raw(request: Request, user: CurrentUser) -> int:
    return len(await request.body())


@router.post("/api/open")
async def open_to_all(card: Card) -> str:
    return card.text


@router.put("/api/stream")
async def stream(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


router.include_router(inner, dependencies=[Depends(current_user)])


def install(builder: Builder) -> None:
    builder.add_router(router)
"""
JSON = {"Content-Type": "application/json"}
CARD = b'{"text": "hi"}'
WITH_USER = ("/api/card", "/api/deck", "/api/included", "/api/raw")


@pytest.fixture
async def jwt_settings(settings: Settings, add_feature: AddFeature) -> Settings:
    add_feature("cards", FEATURE)
    return with_jwt(settings)


@pytest.mark.parametrize("path", WITH_USER)
async def test_a_stranger_is_refused_whatever_the_body(jwt_settings: Settings, path: str) -> None:
    async with running_app(jwt_settings) as app:
        refused = await app.http.post(path, content=b"[" * 100, headers=JSON)
        user = bearer(jwt_settings, "ada")
        accepted = await app.http.post(path, content=CARD, headers=JSON | user)

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["code"] == "unauthenticated"
    assert accepted.status_code == 200


@pytest.mark.parametrize("path", [*WITH_USER, "/api/open"])
async def test_the_shape_of_json_is_bounded_on_own_routes(
    jwt_settings: Settings, path: str
) -> None:
    async with running_app(jwt_settings) as app:
        headers = JSON | bearer(jwt_settings, "ada")
        response = await app.http.post(path, content=b"[" * 100, headers=headers)

    assert response.status_code == 400
    assert "levels" in response.json()["detail"]


async def test_a_body_that_is_no_json_keeps_its_shape(jwt_settings: Settings) -> None:
    table = b"1,2,3\n" * 10_000
    async with running_app(jwt_settings) as app:
        user = bearer(jwt_settings, "ada")
        csv = await app.http.post(
            "/api/raw", content=table, headers=user | {"Content-Type": "text/csv"}
        )
        streamed = await app.http.put("/api/stream", content=table, headers=JSON)

    assert csv.json() == streamed.json() == len(table)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chatkit", b'{"type": "threads.list", "params": {}, "x": [' + b"1," * 700_000),
        ("/chatkit", b'{"type": "unknown", "x": "' + b"x" * 1_400_000 + b'"}'),
        ("/api/card", b'{"text": 1, "x": "' + b"x" * 1_400_000 + b'"}'),
        ("/api/card", b'{"text": "' + b"x" * 1_400_000),
    ],
    ids=["shape", "chatkit", "model", "syntax"],
)
async def test_a_refused_body_is_freed_without_a_garbage_collection(
    jwt_settings: Settings, path: str, body: bytes
) -> None:
    async with running_app(jwt_settings) as app:
        headers = JSON | bearer(jwt_settings, "ada")
        await app.http.post(path, content=body, headers=headers)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(8):
                refused = await app.http.post(path, content=body, headers=headers)
                assert 400 <= refused.status_code < 500
                del refused
            held, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()

    # The client and a thread may hold the last one.
    assert held < 4 * len(body)
