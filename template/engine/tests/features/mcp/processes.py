"""Finds and kills the processes of a test's servers."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.mcp import plain_server

from chatkit_engine.testing.waiting import eventually


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


def runs(pid: int) -> bool:
    """Say whether the process is at work: who adopts an orphan may never wait for its end."""
    return any(each.pid == pid and not each.is_zombie for each in _processes())


def children(of: int, command: str = "") -> list[int]:
    """Return a process's children that run such a command; with no command, its zombies too."""
    return [each.pid for each in _processes() if each.parent == of and command in each.command]


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    is_zombie: bool
    command: str


def _processes() -> list[_Process]:
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    return [
        _Process(int(pid), int(parent), state.startswith("Z"), " ".join(rest))
        for pid, parent, state, *rest in rows
    ]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
