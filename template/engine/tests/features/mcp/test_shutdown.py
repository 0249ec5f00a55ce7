"""Tests how long servers' processes may delay the end of the application."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from features.mcp.conftest import UseServers
from features.mcp.processes import is_alive, pids, plain
from features.mcp.turns import connected_app, server_health
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.waiting import eventually

pytestmark = pytest.mark.slow

SERVERS = 8
# Far more than one process may take, and far less than eight of them one after the other.
END_SECONDS = 10


async def test_stopped_processes_are_killed_at_the_same_time(
    with_model: Settings, use_servers: UseServers, tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(SERVERS)]
    for folder in folders:
        folder.mkdir()
    use_servers(**{f"post{folder.name}": plain(folder) for folder in folders})
    context = connected_app(with_model)
    app = await context.__aenter__()
    assert len(await server_health(app)) == SERVERS
    started = [pid for folder in folders for pid in pids(folder, "started")]
    for pid in started:
        os.kill(pid, signal.SIGSTOP)

    async with asyncio.timeout(END_SECONDS):
        await context.__aexit__(None, None, None)

    assert len(started) == SERVERS
    assert not any(is_alive(pid) for pid in started)


async def test_a_process_that_is_stopped_while_it_connects_is_killed_too(
    with_model: Settings, use_servers: UseServers, tmp_path: Path
) -> None:
    script = f"echo > {tmp_path}/started-$$; exec sleep 600"
    use_servers(mute={"command": "sh", "args": ["-c", script]})

    async def has_started() -> bool:
        return bool(pids(tmp_path, "started"))

    async with asyncio.timeout(END_SECONDS), running_app(with_model):
        await eventually(has_started)
        os.kill(pids(tmp_path, "started")[0], signal.SIGSTOP)

    assert not any(is_alive(pid) for pid in pids(tmp_path, "started"))
