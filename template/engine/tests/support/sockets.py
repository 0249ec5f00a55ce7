"""Raw HTTP/1.1 over a socket, for what no client library sends."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

SECONDS = 20


@dataclass
class Connection:
    """A connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send what the server still takes."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        """Send the head of a request, and a part of its body."""
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        if "host" not in {name.lower() for name in headers}:
            lines.append("Host: localhost")
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def head(self) -> str:
        """Return the head of the answer, in lower case, or nothing if there is none."""
        try:
            async with asyncio.timeout(SECONDS):
                return (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""

    async def status(self) -> int:
        """Return the status of the answer, or 0 if the server only closed the connection."""
        head = await self.head()
        return int(head.split()[1]) if head else 0

    async def rest(self) -> bytes:
        """Return what comes until the server closes the connection."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    """Open a connection to the server at `url`."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
