"""Kills a server's process repeatedly while turns call its tools."""

import asyncio
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from features.mcp import parcels
from features.mcp.conftest import UseServers
from features.mcp.processes import children, is_alive, kill, plain, waiting_pid
from features.mcp.turns import call, connected_app, outputs, server_health
from support.app import Running, with_provider

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, answer, create, thread_id
from chatkit_engine.testing.waiting import eventually

pytestmark = pytest.mark.slow

KILLS = 4
TURNS = 8
TURN_SECONDS = 30


def _sdk(_folder: Path) -> dict[str, Any]:
    return parcels.script()


class WeighingModel(FakeModelApi):
    """Calls the tool for each message, and then repeats what it answered."""

    def _next_reply(self, said: str) -> Reply:
        return Reply(calls=[("post_weigh", {"city": "Bonn"})]) if said else Reply("All right.")


@pytest.fixture
def weighing_model() -> Generator[FakeModelApi]:
    with WeighingModel().running() as api:
        yield api


class Load:
    """Runs turns on many threads concurrently until it is stopped."""

    def __init__(self, app: Running) -> None:
        self._app = app
        self.is_over = False
        self.turns = 0
        self.wrong: list[Json] = []

    async def run(self) -> None:
        await asyncio.gather(*(self._talk() for _ in range(TURNS)))

    async def _talk(self) -> None:
        thread = ""
        while not self.is_over:
            async with asyncio.timeout(TURN_SECONDS):
                request = add(thread, "How heavy?") if thread else create("How heavy?")
                streamed = await self._app.ask(request)
            thread = thread or thread_id(streamed)
            self.turns += 1
            if answer(streamed).strip() != "All right." and streamed[-1]["type"] != "error":
                self.wrong.append(streamed[-1])


@pytest.mark.parametrize("make", [plain, _sdk], ids=["plain", "sdk"])
async def test_turns_work_while_the_process_is_killed_repeatedly(
    settings: Settings,
    weighing_model: FakeModelApi,
    use_servers: UseServers,
    tmp_path: Path,
    make: Callable[[Path], dict[str, Any]],
) -> None:
    use_servers(post=make(tmp_path))
    command = make(tmp_path)["args"][0]

    async with connected_app(with_provider(settings, weighing_model, "openai")) as app:
        load = Load(app)
        turns = asyncio.create_task(load.run())
        killed = [await _kill_one(app, command) for _ in range(KILLS)]
        load.is_over = True
        await turns
        assert load.wrong == []
        assert load.turns >= TURNS
        await app.ask(create("How heavy?"))
        assert "weigh" in outputs(weighing_model)[0]

    assert len(set(killed)) == KILLS
    assert not any(is_alive(pid) for pid in killed)
    assert children(os.getpid(), command) == []


@pytest.mark.parametrize("make", [plain, _sdk], ids=["plain", "sdk"])
async def test_a_call_ends_when_the_process_is_killed_under_it(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    tmp_path: Path,
    make: Callable[[Path], dict[str, Any]],
) -> None:
    use_servers(post=make(tmp_path))

    async with connected_app(with_model) as app:
        for _ in range(2):
            folder = {"folder": str(tmp_path)}
            turn = asyncio.create_task(call(app, model_api, "post_wait", folder))
            pid = await waiting_pid(tmp_path)
            kill(pid)
            async with asyncio.timeout(TURN_SECONDS / 3):
                assert answer(await turn).strip() == "All right."
            assert "unknown whether the call took effect" in outputs(model_api)[0]
            await call(app, model_api, "post_weigh", {"city": "Bonn"})
            assert "weigh" in outputs(model_api)[0]
            assert not is_alive(pid)


async def _kill_one(app: Running, command: str) -> int:
    """Kill the server's process when calls go to it, and return its id once it is gone."""

    found: list[int] = []

    async def is_connected() -> bool:
        found[:] = await asyncio.to_thread(children, os.getpid(), command)
        return bool(found) and (await server_health(app))["post"].startswith("connected")

    await eventually(is_connected)
    await asyncio.sleep(0.1)
    [pid] = found
    kill(pid)

    async def is_gone() -> bool:
        return not is_alive(pid)

    await eventually(is_gone)
    return pid
