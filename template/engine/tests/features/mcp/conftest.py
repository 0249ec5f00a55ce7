"""Fixtures for the MCP tests: servers, and an application that connects to them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from features.mcp import parcels

from chatkit_engine.testing.ports import free_port

UseServers = Callable[..., None]


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
    """The URL of a third-party server without any calls so far."""
    parcels.done.clear()
    return _served_parcels
