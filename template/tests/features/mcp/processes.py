"""The processes that a test's servers are."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.features.mcp import plain_server
from tests.support.eventually import eventually


def plain(folder: Path, **settings: Any) -> dict[str, Any]:
    """Return the settings of a plain server, that writes its processes' ids to the folder."""
    return {"command": sys.executable, "args": [plain_server.__file__, str(folder)], **settings}


def pids(folder: Path, what: str) -> list[int]:
    """Return the processes that have started, or that are waiting in a call."""
    return [int(file.name.partition("-")[2]) for file in folder.glob(f"{what}-*")]


async def waiting_pid(folder: Path) -> int:
    """Wait for a process that works on a call, and return its id."""

    async def is_waiting() -> bool:
        return any(is_alive(pid) for pid in pids(folder, "waiting"))

    await eventually(is_waiting)
    return next(pid for pid in pids(folder, "waiting") if is_alive(pid))


def is_alive(pid: int) -> bool:
    """Say whether the process is there. One that has ended and was not waited for still is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
