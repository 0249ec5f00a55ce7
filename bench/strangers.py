"""Attacks a server while another user goes on working, and reports how that user fares.

    python bench/strangers.py                   # every attack, ten seconds each
    python bench/strangers.py turns nesting     # some of them

The server is the command `serve` with JWT users and SQLite. Its neighbour on the machine is this
process, which attacks, plays the bystander, and is the model. Nothing leaves 127.0.0.1.
"""

import argparse
import asyncio
import json
import statistics
import struct
import sys
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "template"))

from chatkit_engine.testing.app import SECRET, Server, bearer, make_settings, running_server
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import create, op

MB = 1024 * 1024
PAUSE_SECONDS = 0.02
REQUEST_SECONDS = 60
SETTINGS = make_settings(auth_mode="jwt", jwt_secret=SECRET)
ATTACKER, BYSTANDER = "mallory", "ada"
Headers = dict[str, str]


@dataclass
class Site:
    """The server under attack, and the attacker's way to it."""

    server: Server
    http: aiohttp.ClientSession
    answers: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server.url)
        return str(parts.hostname), int(parts.port or 0)

    async def send(self, path: str, body: bytes, headers: Headers | None = None) -> None:
        """Send a request as the attacker, read its answer, and count its status."""
        own = {"Content-Type": "application/json", **(headers or bearer(SETTINGS, ATTACKER))}
        try:
            async with self.http.post(self.server.url + path, data=body, headers=own) as response:
                await response.read()
                self.count(str(response.status))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.count(type(error).__name__)

    def count(self, answer: str) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1

    def rss_mib(self) -> float:
        """Return the resident memory of the server and its children, in MiB."""
        return sum(_rss_mib(pid) for pid in _family(self.server.process.pid))


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        return [
            pid,
            *(each for child in children.read_text().split() for each in _family(int(child))),
        ]
    return []


def _rss_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0


async def unfinished_bodies(site: Site) -> None:
    """A hundred connections without a token send 3.9 of 4 MB, and stop."""
    head = b"POST /chatkit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    await _hold(site, 100, head + b"Content-Length: 4000000\r\n\r\n" + b" " * 3_900_000)


async def unfinished_bodies_of_a_user(site: Site) -> None:
    """A hundred connections with a token send 3.9 of 4 MB, and stop."""
    token = bearer(SETTINGS, ATTACKER)["Authorization"].encode()
    head = b"POST /chatkit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Authorization: " + token + b"\r\nContent-Length: 4000000\r\n\r\n"
    await _hold(site, 100, head + b" " * 3_900_000)


async def idle_sockets(site: Site) -> None:
    """A thousand connections without a token send nothing."""
    await _hold(site, 1000, b"")


async def _hold(site: Site, count: int, content: bytes) -> None:
    async def connect() -> asyncio.StreamWriter | None:
        try:
            reader, writer = await asyncio.open_connection(*site.address)
            writer.write(content)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await writer.drain()
        except OSError as error:
            site.count(type(error).__name__)
            return None
        site.count("open")
        del reader
        return writer

    writers = await asyncio.gather(*(connect() for _ in range(count)))
    try:
        await asyncio.Event().wait()
    finally:
        for writer in writers:
            if writer:
                writer.transport.abort()


async def nesting(site: Site) -> None:
    """Four connections of one user send 3.6 MB of nested lists in an unknown field."""
    nested = (b"[" * 500 + b"]" * 500 + b",") * 3_600
    body = b'{"type":"threads.list","params":{"limit":1},"x":[' + nested + b"0]}"
    await _repeat(4, lambda: site.send("/chatkit", body))


async def wide_json(site: Site) -> None:
    """Four connections of one user send 3.6 MB of small objects."""
    body = b'{"type":"threads.list","params":{"limit":1},"x":[' + b'{"a":1},' * 450_000 + b"0]}"
    await _repeat(4, lambda: site.send("/chatkit", body))


async def valid_json_without_a_token(site: Site) -> None:
    """Four connections without a token send 4 MB of valid JSON."""
    body = json.dumps(op("threads.list") | {"x": ["a" * 100] * 38_000}).encode()
    await _repeat(4, lambda: site.send("/chatkit", body, {"X-Anything": "1"}))


async def turns(site: Site) -> None:
    """One user opens 500 threads at once."""
    body = json.dumps(create("Hello")).encode()
    await asyncio.gather(*(site.send("/chatkit", body) for _ in range(500)))


async def jpeg_of_tiny_segments(site: Site) -> None:
    """One user uploads 20 MB JPEG files of five million empty segments."""
    await _upload(site, b"\xff\xd8" + b"\xff\xfe\x00\x02" * 4_900_000 + b"\xff\xd9", "image/jpeg")


async def png_of_empty_chunks(site: Site) -> None:
    """One user uploads PNG files of 1.5 million empty chunks."""
    ihdr = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + ihdr + _chunk(b"tEXt", b"") * 1_500_000 + _chunk(b"IEND", b"")
    await _upload(site, content, "image/png")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


async def gif_of_comments(site: Site) -> None:
    """One user uploads GIF files of five million comments."""
    content = b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + b"\x21\xfe\x01a\x00" * 3_500_000 + b";"
    await _upload(site, content, "image/gif")


async def _upload(site: Site, content: bytes, media_type: str) -> None:
    async def once() -> None:
        described = {"name": "image", "size": len(content), "mime_type": media_type}
        body = json.dumps(op("attachments.create", **described))
        own = bearer(SETTINGS, ATTACKER)
        url = site.server.url
        headers = {"Content-Type": "application/json", **own}
        try:
            async with site.http.post(f"{url}/chatkit", data=body, headers=headers) as created:
                target = (await created.json()).get("upload_descriptor") or {}
            form = {"data": content, "headers": {**own, **target.get("headers", {})}}
            method, address = target["method"], target["url"]
            async with site.http.request(method, address, **form) as uploaded:
                await uploaded.read()
                site.count(str(uploaded.status))
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError) as error:
            site.count(type(error).__name__)

    await _repeat(6, once)


async def large_tags(site: Site) -> None:
    """One user sends messages whose tags hold 3.9 MB of data."""
    tag = {"type": "input_tag", "id": "t", "text": "t", "data": {"x": "y" * 3_900_000}}
    request = create("Hello")
    request["params"]["input"]["content"].append({**tag, "group": None, "interactive": False})
    body = json.dumps(request).encode()
    await _repeat(2, lambda: site.send("/chatkit", body))


async def costly_pattern(site: Site) -> None:
    """One user sends 60,000 letters to a pattern of e-mail addresses."""
    body = json.dumps(create("a" * 60_000)).encode()
    await _repeat(2, lambda: site.send("/chatkit", body))


async def _repeat(count: int, action: Callable[[], Awaitable[None]]) -> None:
    async def again() -> None:
        while True:
            await action()

    await asyncio.gather(*(again() for _ in range(count)))


ATTACKS: dict[str, Callable[[Site], Awaitable[None]]] = {
    "bodies": unfinished_bodies,
    "own-bodies": unfinished_bodies_of_a_user,
    "idle": idle_sockets,
    "nesting": nesting,
    "wide": wide_json,
    "no-token": valid_json_without_a_token,
    "turns": turns,
    "jpeg": jpeg_of_tiny_segments,
    "png": png_of_empty_chunks,
    "gif": gif_of_comments,
    "tags": large_tags,
    "pattern": costly_pattern,
}


@dataclass
class Bystander:
    """Another user: lists threads and asks for the health, over and over."""

    site: Site
    lists: list[float] = field(default_factory=list[float])
    healths: list[float] = field(default_factory=list[float])
    failed: int = 0
    peak_mib: float = 0

    async def run(self) -> None:
        headers = bearer(SETTINGS, BYSTANDER)
        async with aiohttp.ClientSession(headers=headers) as http:
            while True:
                request = op("threads.list", limit=20)
                url = self.site.server.url
                await self._measure(self.lists, http.post(f"{url}/chatkit", json=request))
                await self._measure(self.healths, http.get(f"{url}/health/live"))
                self.peak_mib = max(self.peak_mib, self.site.rss_mib())
                await asyncio.sleep(PAUSE_SECONDS)

    async def _measure(self, into: list[float], request: Any) -> None:
        start = time.monotonic()
        try:
            async with request as response:
                await response.read()
                self.failed += not response.ok
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
        finally:
            # Also if it is still waiting when the attack is over.
            into.append((time.monotonic() - start) * 1000)


def _p99(values: list[float]) -> float:
    if len(values) > 1:
        return statistics.quantiles(values, n=100, method="inclusive")[98]
    return max(values, default=float("nan"))


@asynccontextmanager
async def running_site(folder: Path) -> AsyncGenerator[Site]:
    with FakeModelApi().running() as model_api:
        model_api.default = Reply("All right.")
        environment = {
            "AUTH_MODE": "jwt",
            "JWT_SECRET": SECRET,
            "OPENAI_API_KEY": "sk-test-0123456789",
            "OPENAI_BASE_URL": model_api.url,
            "LLM_MODEL": "fake",
            "THREAD_TITLES": "false",
            "LOG_LEVEL": "WARNING",
            "BLOCKED_INPUT": r'["([a-zA-Z0-9_.+-]+)+@[a-zA-Z0-9-]+\\.[a-zA-Z0-9-.]+"]',
        }
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
            with running_server(folder, **environment) as server:
                yield Site(server, http)


async def measure(name: str, seconds: float) -> None:
    with TemporaryDirectory() as folder:
        async with running_site(Path(folder)) as site:
            bystander = Bystander(site)
            tasks = {asyncio.create_task(work) for work in (ATTACKS[name](site), bystander.run())}
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                task.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception):
                    raise error
            counted = ", ".join(f"{answer}: {n}" for answer, n in site.answers.items())
            print(
                f"{name:<12}{_p99(bystander.lists):>10.0f}{_p99(bystander.healths):>10.0f}"
                f"{bystander.failed:>8}{bystander.peak_mib:>8.0f}  {counted}",
                flush=True,
            )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"of {', '.join(ATTACKS)}; default: all")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    if unknown := set(options.attacks) - ATTACKS.keys():
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    print(
        f"{'':<12}{'list p99':>10}{'live p99':>10}{'failed':>8}{'MiB':>8}  the attacker's answers"
    )
    for name in options.attacks or ATTACKS:
        await measure(name, options.seconds)


if __name__ == "__main__":
    asyncio.run(main())
