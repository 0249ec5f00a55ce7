"""Files that are costly to inspect: the server answers others, and the next file works."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from features.attachments.files import GIF, JPEG, PNG, png_chunk
from support.app import SECRET, Server, make_settings, running_server

from chatkit_engine.errors import Unprocessable
from chatkit_engine.features.attachments.inspector import Inspector
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.testing.requests import op
from chatkit_engine.testing.waiting import eventually
from chatkit_engine.workers.pool import Limits

MIB = 1024 * 1024
SIZE = 19 * MIB
# Fewer than the files that may wait for their message.
FEW = 20
GIF_FRAMES = GIF.index(b"\x2c")


def _many(part: bytes) -> bytes:
    return part * (SIZE // len(part))


COSTLY: dict[str, tuple[bytes, str]] = {
    "a JPEG of empty segments": (
        JPEG[:2] + _many(b"\xff\xe1\x00\x02") + JPEG[2:],
        "image/jpeg",
    ),
    "a JPEG of comments": (JPEG[:2] + _many(b"\xff\xfe\x00\x03a") + JPEG[2:], "image/jpeg"),
    "a PNG of empty texts": (PNG[:33] + _many(png_chunk(b"tEXt", b"")) + PNG[33:], "image/png"),
    "a GIF of comments": (
        GIF[:GIF_FRAMES] + _many(b"\x21\xfe\x01a\x00") + GIF[GIF_FRAMES:],
        "image/gif",
    ),
}


@pytest.mark.parametrize(("content", "type_"), COSTLY.values(), ids=COSTLY)
async def test_a_costly_file_is_refused_in_words_and_the_next_one_works(
    content: bytes, type_: str
) -> None:
    limits = Limits(128 * MIB, cpu_seconds=1, wall_seconds=60, answer_bytes=1000)

    async def bytes_of(content: bytes) -> AsyncIterator[bytes]:
        yield content

    async with aclosing(Inspector(AttachmentsSettings(), limits)) as inspector:
        with pytest.raises(Unprocessable, match="too much time or memory"):
            await inspector.inspect("eve", bytes_of(content), type_)

        assert (await inspector.inspect("eve", bytes_of(PNG), "image/png")).width == 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _server(tmp_path_factory.mktemp("server")) as server:
        yield server


def _server(folder: Path):
    return running_server(folder, AUTH_MODE="jwt", JWT_SECRET=SECRET)


@asynccontextmanager
async def _client(server: Server, user: str) -> AsyncGenerator[httpx2.AsyncClient]:
    settings = make_settings(auth_mode="jwt", jwt_secret=SECRET)
    token = issue_token(settings, user, timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=120) as http:
        yield http


async def _upload(
    http: httpx2.AsyncClient, content: bytes = PNG, type_: str = "image/png"
) -> httpx2.Response:
    return await http.post("/api/attachments", files={"file": ("x", content, type_)})


def _memory(server: Server) -> int:
    """Return the largest size that the server has had in memory, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _workers(server: Server) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server.process.pid and "inspection" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


async def test_others_are_served_while_costly_files_are_inspected(server: Server) -> None:
    async with _client(server, "eve") as eve, _client(server, "ada") as ada:
        await _upload(ada)
        before = _memory(server)
        costly = [COSTLY["a JPEG of empty segments"], COSTLY["a GIF of comments"]]
        attacks = [asyncio.create_task(_upload(eve, *file)) for file in costly]

        answered = 0
        while not attacks[0].done() or not attacks[1].done():
            assert (await ada.post("/chatkit", json=op("threads.list"))).status_code == 200
            if answered < FEW:
                assert (await _upload(ada)).status_code == 200
            answered += 1
        refusals = await asyncio.gather(*attacks)

        # Eve's files were inspected one after the other, and Ada did not wait for them.
        assert answered > FEW
        assert [refused.status_code for refused in refusals] == [422, 422]
        assert "too much time or memory" in refusals[0].json()["detail"]
        assert (await _upload(eve)).status_code == 200
        assert _memory(server) - before < 100 * MIB


async def test_the_uploads_of_one_user_at_once_are_limited(server: Server) -> None:
    end = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await end.wait()

    async with _client(server, "eve") as eve, _client(server, "ada") as ada:
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        waiting: list[asyncio.Task[httpx2.Response]] = []

        async def is_refused() -> bool:
            request = eve.post("/api/attachments", content=slow(), headers=form)
            waiting.append(asyncio.create_task(request))
            # Lets the slow request arrive first.
            await eve.post("/chatkit", json=op("threads.list"))
            return (await _upload(eve)).status_code == 429

        await eventually(is_refused)
        refused = await _upload(eve)
        assert "at once" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        assert (await _upload(ada)).status_code == 200

        end.set()
        await asyncio.gather(*waiting)
        assert (await _upload(eve)).status_code == 200


async def test_a_server_that_stops_leaves_no_worker(tmp_path: Path) -> None:
    content, type_ = COSTLY["a JPEG of comments"]
    with _server(tmp_path) as server:
        async with _client(server, "eve") as eve:
            attack = asyncio.create_task(_upload(eve, content, type_))

            async def is_at_work() -> bool:
                return bool(_workers(server))

            await eventually(is_at_work)
            workers = _workers(server)
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(server.process.wait, 30)
            with suppress(httpx2.TransportError):
                await attack

    async def has_ended() -> bool:
        return not any([await asyncio.to_thread(os.path.exists, f"/proc/{pid}") for pid in workers])

    await eventually(has_ended)
