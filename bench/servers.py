"""The processes under test: how each is started, watched and stopped. Linux: it reads `/proc`."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

BENCH = Path(__file__).parent
HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 15
REQUEST_SECONDS = 120
POLL_SECONDS = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CPU, LOAD_CPU = 0, 1
CPUS = sorted(os.sched_getaffinity(0))
KIB_PER_MIB = 1024

SERVE = "from chatkit_engine.cli import main; main()"


class DidNotStart(Exception):
    """A process ended, or opened no port, before it could be measured."""


@dataclass(frozen=True)
class Process:
    """A running server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the user and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = fields[11:13]
        return (int(user) + int(system)) / TICKS

    def rss_mib(self) -> float:
        """Return the resident memory in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / KIB_PER_MIB


@dataclass(frozen=True)
class Command:
    """How to start a server: Python's arguments, ended by the port, and its environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    cpu: int = SERVER_CPU


def project_command(start: tuple[str, ...], environment: dict[str, str]) -> Command:
    return Command((*start, "serve", "--port"), environment)


def uvicorn_command(app: str, environment: dict[str, str]) -> Command:
    return Command(("-m", "uvicorn", app, "--host", HOST, "--port"), environment)


@asynccontextmanager
async def running(command: Command, folder: Path) -> AsyncGenerator[Process]:
    """Start a process with its log in `folder`, wait for its port, and end it on leaving."""
    port = _free_port()
    with _log(folder) as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command.arguments,
            str(port),
            cwd=folder,
            env={**_plain_environment(), **command.environment},
            stdout=log,
            stderr=log,
        )
    try:
        pin(process.pid, command.cpu)
        if not await _opens(process, port):
            raise DidNotStart(f"{command.arguments}: {_logged(folder)}")
        yield Process(process.pid, port)
    finally:
        await _stop(process)


@asynccontextmanager
async def all_running(
    commands: dict[str, Command], folder: Path
) -> AsyncGenerator[dict[str, Process]]:
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(running(command, folder / name))
            for name, command in commands.items()
        }


def http_client() -> aiohttp.ClientSession:
    """Return a client that keeps one connection alive for each stream."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def pin(pid: int, cpu: int) -> None:
    """Keep a process on one core, where there are two: the first serves, the second loads."""
    if len(CPUS) > 1:
        os.sched_setaffinity(pid, {CPUS[cpu]})


def _plain_environment() -> dict[str, str]:
    """Return the environment without what the user may have set for a project of their own."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _log(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True)
    return (folder / "log").open("wb")


def _logged(folder: Path) -> str:
    return (folder / "log").read_text()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


async def _opens(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until the port is open; say whether it ever was."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if await _is_open(port):
                    return True
                await asyncio.sleep(POLL_SECONDS)
    return False


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def python_path(project: Path) -> str:
    """Return where Python finds a project's application and its engine."""
    return os.pathsep.join([str(project), str(project / "engine/src")])
