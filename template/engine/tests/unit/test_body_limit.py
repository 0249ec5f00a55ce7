"""Tests the limit of bodies, for all paths and for those of a feature with its own limit."""

import pytest
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.features import AddFeature

TAKER = """
from fastapi import APIRouter, Request

from chatkit_engine.builder import Builder

router = APIRouter()


@router.put("/api/{name:path}")
async def take(name: str, request: Request) -> int:
    return len(await request.body())


def install(builder: Builder) -> None:
    builder.add_router(router)
    builder.add_body_limit("/api/large", 4096)
"""


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/api/small", 1024, 200),
        ("/api/small", 1025, 413),
        ("/api/large", 4096, 200),
        ("/api/large", 4097, 413),
        ("/api/large/one", 4096, 200),
        ("/api/larger", 1025, 413),
    ],
)
async def test_a_path_may_have_a_limit_of_its_own(
    settings: Settings, add_feature: AddFeature, path: str, size: int, status: int
) -> None:
    add_feature("taker", TAKER)
    limited = settings.model_copy(update={"max_body_bytes": 1024})
    async with running_app(limited) as app:
        declared = await app.http.put(
            path, content=b"x" * size, headers={"Content-Type": "application/json"}
        )

        async def chunks():
            for _ in range(size):
                yield b"x"

        counted = await app.http.put(path, content=chunks())

    for response in (declared, counted):
        assert response.status_code == status
        if status != 200:
            assert response.json()["code"] == "content_too_large"
