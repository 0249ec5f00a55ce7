"""What the tests of MCP share: servers, and turns that call their tools."""

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.features.mcp import parcels
from tests.support.ports import free_port

UseServers = Callable[..., None]

# The tools that the assistant has from the project's own server are those of the notes.
collect_ignore = [] if find_spec("app.features.notes") else ["test_own_server.py"]


@pytest.fixture
def use_servers(monkeypatch: pytest.MonkeyPatch) -> UseServers:
    """Give a function that sets `MCP_SERVERS`, each server's settings by its name."""

    def use(**servers: dict[str, Any]) -> None:
        monkeypatch.setenv("MCP_SERVERS", json.dumps(servers))

    return use


@pytest.fixture(scope="session")
def _served_parcels() -> Iterator[str]:  # pyright: ignore[reportUnusedFunction]
    with parcels.served(parcels.create_parcels(), free_port()) as url:
        yield url


@pytest.fixture
def parcels_url(_served_parcels: str) -> str:
    """The URL of a server of somebody else's, that has done nothing yet."""
    parcels.done.clear()
    return _served_parcels
