"""The notes as tools of an MCP server: as the user of each call, and within the notes' limits."""

from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult

from app.features.notes import mcp_tools
from chatkit_engine import Database, User


class Caller:
    """Calls the tools as the user that `user` names."""

    def __init__(self, database: Database) -> None:
        self.user = "ada"
        self.server: MCPServer[Any] = MCPServer("notes")
        mcp_tools.add_tools(self.server, database, self._user_of)

    def _user_of(self, context: Context[Any, Any]) -> User:
        return User(id=self.user)

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        async with Client(self.server) as client:
            return await client.call_tool(tool, arguments)

    async def value(self, tool: str, **arguments: Any) -> Any:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        value = result.structured_content
        return value["result"] if set(value) == {"result"} else value


@pytest.fixture
def caller(database: Database) -> Caller:
    return Caller(database)


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
    assert (await caller.call("delete_note", note_id=note["id"])).is_error
    caller.user = "ada"
    assert await caller.value("list_notes") == [note]


async def test_a_call_that_cannot_be_done_is_an_error(caller: Caller) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add_note", {"text": ""}),
        ("add_note", {"text": "a\x00b"}),
        ("list_notes", {"limit": 0}),
        ("search_notes", {"query": "x" * 501}),
        ("delete_note", {"note_id": "../note"}),
        ("delete_note", {"note_id": "note_0"}),
    ]

    for tool, arguments in calls:
        assert (await caller.call(tool, **arguments)).is_error
    assert await caller.value("list_notes") == []


async def test_each_tool_says_what_it_does_to_the_notes(caller: Caller) -> None:
    async with Client(caller.server) as client:
        hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}

    reads = {name for name, hint in hints.items() if hint and hint.read_only_hint}
    destroys = {name for name, hint in hints.items() if hint and hint.destructive_hint}
    assert reads == {"list_notes", "search_notes"}
    assert destroys == {"delete_note"}
    assert set(mcp_tools.FOR_THE_ASSISTANT) <= set(hints)
