"""The notes as tools of an MCP server: as the user of each call, and within the notes' limits."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult

from app.features.notes import mcp_tools
from app.features.notes.tables import metadata
from chatkit_engine.context import User
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import Migrations, upgrade

VERSIONS = Path(mcp_tools.__file__).parent / "migrations" / "versions"


class Caller:
    """Calls tools, as whoever is its `user` just then."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self.server = server
        self.user = "ada"

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        async with Client(self.server) as client:
            return await client.call_tool(tool, arguments)

    async def value(self, tool: str, **arguments: Any) -> Any:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        value = result.structured_content
        return value["result"] if set(value) == {"result"} else value


@pytest.fixture
async def caller(settings: Settings) -> AsyncGenerator[Caller]:
    database = open_database(settings)
    await upgrade(database, [Migrations("notes", VERSIONS, metadata)])
    caller = Caller(MCPServer("notes"))

    def user_of(context: Context[Any, Any]) -> User:
        return User(id=caller.user)

    mcp_tools.add_tools(caller.server, database, user_of)
    yield caller
    await database.aclose()


async def test_a_note_is_added_listed_found_and_deleted(caller: Caller) -> None:
    note = await caller.value("add_note", text="Buy milk")
    await caller.value("add_note", text="Call Bob")

    assert [each["text"] for each in await caller.value("list_notes")] == ["Call Bob", "Buy milk"]
    assert await caller.value("search_notes", query="MILK") == [note]
    assert note["id"] in await caller.value("delete_note", note_id=note["id"])
    assert await caller.value("search_notes", query="milk") == []


async def test_a_user_has_only_their_own_notes(caller: Caller) -> None:
    note = await caller.value("add_note", text="Adas secret")
    caller.user = "bob"

    assert await caller.value("list_notes") == []
    assert await caller.value("search_notes", query="secret") == []
    assert (await caller.call("delete_note", note_id=note["id"])).is_error
    caller.user = "ada"
    assert await caller.value("list_notes") == [note]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("add_note", {"text": ""}),
        ("add_note", {"text": "x" * 10_001}),
        ("add_note", {"text": "a\x00b"}),
        ("add_note", {}),
        ("list_notes", {"limit": 0}),
        ("list_notes", {"limit": 1_000_000_000}),
        ("search_notes", {"query": "x" * 501}),
        ("delete_note", {"note_id": "../note"}),
        ("delete_note", {"note_id": "note_0"}),
    ],
)
async def test_what_cannot_be_done_is_an_error_and_changes_nothing(
    caller: Caller, tool: str, arguments: dict[str, Any]
) -> None:
    await caller.value("add_note", text="Buy milk")

    assert (await caller.call(tool, **arguments)).is_error
    assert [each["text"] for each in await caller.value("list_notes")] == ["Buy milk"]


@pytest.fixture
def room_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_MAX_PER_USER", "1")


@pytest.mark.usefixtures("room_for_one")
async def test_the_limit_of_notes_holds(caller: Caller) -> None:
    await caller.value("add_note", text="one")

    assert (await caller.call("add_note", text="two")).is_error


async def test_each_tool_says_what_it_does_to_the_notes(caller: Caller) -> None:
    async with Client(caller.server) as client:
        tools = (await client.list_tools()).tools

    hints = {tool.name: tool.annotations for tool in tools}
    reads = {name for name, hint in hints.items() if hint and hint.read_only_hint}
    destroys = {name for name, hint in hints.items() if hint and hint.destructive_hint}
    assert reads == {"list_notes", "search_notes"}
    assert destroys == {"delete_note"}
    assert all(hint and hint.open_world_hint is False for hint in hints.values())
    assert set(mcp_tools.FOR_THE_ASSISTANT) <= set(hints)
    assert all(tool.description for tool in tools)
