"""A third-party server whose tools succeed, fail and hang, over stdio or HTTP."""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations

READS = ToolAnnotations(read_only_hint=True)
ADDS = ToolAnnotations(destructive_hint=False)
LONG_NAME = "read_" + "x" * 100

done: list[str] = []


def create_parcels() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("parcels", log_level="CRITICAL")

    @server.tool(annotations=READS)
    def weigh(city: str) -> str:
        """Weigh a parcel."""
        return f"{city} weighs 5"

    @server.tool(annotations=ADDS)
    def send(city: str) -> str:
        """Send a parcel."""
        done.append(city)
        return f"sent to {city}"

    @server.tool()
    def burn(city: str) -> str:
        """Burn a parcel."""
        done.append(f"burnt {city}")
        return "gone"

    @server.tool(annotations=READS)
    async def wait(folder: str) -> str:
        """Leave the process's id in the folder, and never return."""
        await anyio.Path(folder, f"waiting-{os.getpid()}").touch()
        await anyio.sleep_forever()
        return "never"

    @server.tool(annotations=READS)
    def broken() -> str:
        """Break."""
        raise ToolError("a secret of the inside")

    @server.tool(annotations=READS)
    def read_all() -> str:
        """Read all there is."""
        return "x" * 1_000_000

    @server.tool(annotations=READS)
    def look() -> CallToolResult:
        """Look at a parcel."""
        picture = ImageContent(data="aGVsbG8=", mime_type="image/png")
        return CallToolResult(content=[TextContent(text="It is brown."), picture])

    @server.tool(annotations=READS)
    def measure() -> CallToolResult:
        """Measure a parcel."""
        return CallToolResult(content=[], structured_content={"grams": 5})

    @server.tool(annotations=READS)
    def who(context: Context[Any, Any]) -> str:
        """Say what came with the call."""
        return str(context.request_context.meta)

    @server.tool(annotations=READS)
    def time() -> str:
        """Say what time it is, as the assistant's own tool `current_time` does."""
        return "noon"

    server.tool(name=LONG_NAME, annotations=READS)(broken)
    server.tool(name="odd.name", annotations=READS)(look)
    return server


@contextmanager
def served(server: MCPServer[Any], port: int) -> Generator[str]:
    """Serve it over HTTP in a thread, and give its URL."""
    app = server.streamable_http_app()
    config = uvicorn.Config(app, port=port, log_level="error", ws="none")
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    while not http.started:
        thread.join(0.005)
    yield f"http://127.0.0.1:{port}/mcp"
    http.should_exit = http.force_exit = True
    thread.join()


def script(**settings: Any) -> dict[str, Any]:
    """Return the settings of the server as a process."""
    return {"command": sys.executable, "args": [__file__], **settings}


if __name__ == "__main__":
    create_parcels().run("stdio")
