"""A small pool of worker processes, each with limits of memory and time.

A worker starts when it is needed, serves one file after another, and ends after a minute without
work. One that exceeds a limit is killed, and the next file gets a new one.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from anyio import CancelScope

from chatkit_engine.fair_slots import FairSlots
from chatkit_engine.workers import child
from chatkit_engine.workers.child import LENGTH_BYTES

log = structlog.stdlib.get_logger(__name__)

START_SECONDS = 60
IDLE_SECONDS = 60
EXIT_SECONDS = 1
ALIVE_SECONDS = 5
# A worker reads hostile bytes, so it gets no secret of the environment.
PASSED_VARIABLES = ("PATH", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")


class WorkFailed(Exception):
    """The file needs more memory or time than the limits allow, or it crashed the worker."""


class WorkersUnavailable(Exception):
    """No worker can be started, or the pool is closed."""


@dataclass(frozen=True)
class Limits:
    """What one worker may use: memory in all, and time and bytes of the answer for each file."""

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    answer_bytes: int


class WorkerPool:
    """Calls a function, named as `module:function`, in worker processes.

    The function gets an open binary file and JSON values as keywords, and returns a JSON value. One
    user never occupies the last worker.
    """

    def __init__(self, function: str, limits: Limits, size: int) -> None:
        self._function = function
        self._limits = limits
        self._slots = FairSlots(size, max(1, size - 1))
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self, user_id: str, content: AsyncIterator[bytes], **arguments: Any) -> Any:
        """Call the function in a worker, after those who came before.

        Raises:
            WorkFailed: the file exceeded a limit, or crashed the worker.
            WorkersUnavailable: no worker can be started.
        """
        async with self._slots.hold(user_id):
            worker = await self._take()
            try:
                async with asyncio.timeout(self._limits.wall_seconds):
                    answer = await worker.call(content, arguments, self._limits.answer_bytes)
            except (TimeoutError, EOFError, ConnectionError) as error:
                await self._discard(worker)
                log.warning("a worker was replaced", function=self._function, **worker.end(error))
                raise (WorkersUnavailable if self._closed else WorkFailed)() from None
            except BaseException:
                await self._discard(worker)
                raise
            self._give_back(worker)
            return answer

    async def aclose(self) -> None:
        """Kill the workers, also those at work."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*map(self._discard, list(self._workers)), *self._ending)

    async def _take(self) -> "Worker":
        while self._idle:
            worker = self._idle.pop()
            worker.stop_timer()
            try:
                is_alive = await worker.is_alive()
            except BaseException:
                await self._discard(worker)
                raise
            if is_alive:
                return worker
            await self._discard(worker)
        return await self._start()

    async def _start(self) -> "Worker":
        worker = await Worker.start(self._function, self._limits)
        self._workers.add(worker)
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker.receive(LENGTH_BYTES)
        except (TimeoutError, EOFError) as error:
            await self._discard(worker)
            log.warning("no worker can be started", function=self._function, **worker.end(error))
            raise WorkersUnavailable from None
        except BaseException:
            await self._discard(worker)
            raise
        if self._closed:
            await self._discard(worker)
            raise WorkersUnavailable
        return worker

    def _give_back(self, worker: "Worker") -> None:
        self._idle.append(worker)
        worker.start_timer(self._retire)

    def _retire(self, worker: "Worker") -> None:
        self._idle.remove(worker)
        ending = asyncio.create_task(self._discard(worker))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _discard(self, worker: "Worker") -> None:
        self._workers.discard(worker)
        with CancelScope(shield=True):
            await worker.kill()


class Worker:
    """One worker process. It does one thing at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, function: str, limits: Limits) -> "Worker":
        """Start a process. Its first frame says that it is ready."""
        program = (sys.executable, "-P", "-m", child.__name__, function)
        passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *program,
            str(limits.memory_bytes),
            str(limits.cpu_seconds),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=passed,
            start_new_session=True,
        )
        return cls(process)

    async def is_alive(self) -> bool:
        """Return whether it still answers. The system may have killed it while it was idle."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await self._send(b"")
                await self.receive(LENGTH_BYTES)
        except (TimeoutError, EOFError, ConnectionError):
            return False
        return True

    async def call(
        self, content: AsyncIterator[bytes], arguments: dict[str, Any], max_bytes: int
    ) -> Any:
        await self._send(json.dumps(arguments).encode())
        async for chunk in content:
            if chunk:
                await self._send(chunk)
        await self._send(b"")
        return json.loads(await self.receive(max_bytes))

    async def receive(self, max_bytes: int) -> bytes:
        length = int.from_bytes(await self._output.readexactly(LENGTH_BYTES))
        if length > max_bytes:
            raise EOFError
        return await self._output.readexactly(length)

    async def _send(self, content: bytes) -> None:
        if self._input.is_closing():
            raise EOFError
        self._input.write(len(content).to_bytes(LENGTH_BYTES))
        self._input.write(content)
        await self._input.drain()

    def start_timer(self, retire: Callable[["Worker"], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, retire, self)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def kill(self) -> None:
        self.stop_timer()
        self._input.close()
        # A worker whose output has ended is about to exit. A signal would hide its exit status.
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS if self._output.at_eof() else 0):
                await self._process.wait()
                return
        with suppress(ProcessLookupError):
            self._process.kill()
        # `wait` waits for the pipes, too, and they stop when their buffers are full. A call that is
        # still reading reads on.
        with suppress(RuntimeError):
            await self._output.read()
        await self._process.wait()

    def end(self, error: Exception) -> dict[str, object]:
        """Return what the log says about the end of the process."""
        return {"error": type(error).__name__, "status": self._process.returncode}
