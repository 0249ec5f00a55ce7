"""Fixtures for the store on each database."""

from collections.abc import AsyncGenerator

import pytest
from support.store import open_store

from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore


@pytest.fixture
async def store(each_database: Settings) -> AsyncGenerator[SqlStore]:
    async with open_store(each_database) as store:
        yield store
