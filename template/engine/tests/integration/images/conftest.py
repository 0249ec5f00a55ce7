"""Fixtures for applications whose assistant can create images."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from support.app import Running, running_app

from chatkit_engine.settings.core import Settings


@pytest.fixture
def drawing(with_model: Settings) -> Settings:
    return with_model.model_copy(update={"image_generation": True, "thread_titles": False})


@pytest.fixture
async def stored_app(drawing: Settings, each_storage: dict[str, Any]) -> AsyncGenerator[Running]:
    """The app on each kind of file storage."""
    settings = Settings.model_validate(drawing.model_dump() | each_storage)
    async with running_app(settings) as running:
        yield running


@pytest.fixture
async def any_app(drawing: Settings, each_database: Settings) -> AsyncGenerator[Running]:
    """The app on each kind of database."""
    url = each_database.database_url
    async with running_app(drawing.model_copy(update={"database_url": url})) as running:
        yield running


@pytest.fixture
async def app(drawing: Settings) -> AsyncGenerator[Running]:
    async with running_app(drawing) as running:
        yield running
