"""Worker processes: each limit holds, the next file works, users share them, and none is left."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from chatkit_engine.fair_slots import FairSlots
from chatkit_engine.testing.waiting import eventually
from chatkit_engine.workers import pool as pools
from chatkit_engine.workers.child import LENGTH_BYTES
from chatkit_engine.workers.pool import (
    Limits,
    Worker,
    WorkerPool,
    WorkersUnavailable,
    WorkFailed,
)

MIB = 1024 * 1024
LIMITS = Limits(memory_bytes=200 * MIB, cpu_seconds=1, wall_seconds=10, answer_bytes=1000)
SECRET = "OPENAI_API_KEY"


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv(SECRET, "sk-secret")


@pytest.fixture
async def pool() -> AsyncGenerator[WorkerPool]:
    async with aclosing(WorkerPool("support.work:misbehave", LIMITS, 2)) as pool:
        yield pool


async def _content(*chunks: str) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk.encode()


async def _pids() -> list[int]:
    """Return the ids of the processes that this one has started and that still run."""
    found: list[int] = []
    for name in await asyncio.to_thread(os.listdir, "/proc"):
        with suppress(OSError):
            text = await asyncio.to_thread(Path("/proc", name, "stat").read_text)
            state, parent = text.rpartition(")")[2].split()[:2]
            command = await asyncio.to_thread(Path("/proc", name, "cmdline").read_text)
            if int(parent) == os.getpid() and state != "Z" and "support.work" in command:
                found.append(int(name))
    return found


async def test_a_worker_gets_the_content_and_the_arguments() -> None:
    async with aclosing(WorkerPool("support.work:size", LIMITS, 2)) as pool:
        long = "x" * (3 * MIB)

        assert await pool.run("ada", _content(long, "", "é"), plus=5) == 3 * MIB + 2 + 5
        assert await pool.run("ada", _content()) == 0


@pytest.mark.parametrize("what", ["memory", "spin", "crash", "raise", "answer"])
async def test_a_file_that_exceeds_a_limit_fails_and_the_next_one_works(
    pool: WorkerPool, what: str
) -> None:
    with pytest.raises(WorkFailed):
        await pool.run("ada", _content(what))

    assert await pool.run("ada", _content("fine")) == "fine"


async def test_a_worker_that_hangs_is_killed() -> None:
    limits = Limits(200 * MIB, cpu_seconds=1, wall_seconds=0.5, answer_bytes=1000)
    async with aclosing(WorkerPool("support.work:misbehave", limits, 2)) as pool:
        with pytest.raises(WorkFailed):
            await pool.run("ada", _content("hang"))
        assert await _pids() == []


async def test_a_worker_whose_answer_nobody_reads_is_killed() -> None:
    worker = await Worker.start("support.work:misbehave", LIMITS)
    await worker.receive(LENGTH_BYTES)
    with pytest.raises(EOFError):
        await worker.call(_content("answer"), {}, LIMITS.answer_bytes)
    # Until the pipe and the reader's buffer are full.
    await asyncio.sleep(0.5)

    async with asyncio.timeout(30):
        await worker.kill()

    assert await _pids() == []


async def test_what_a_library_prints_is_no_answer(pool: WorkerPool) -> None:
    assert await pool.run("ada", _content("print")) == "printed"


async def test_a_worker_has_no_secrets(pool: WorkerPool) -> None:
    assert SECRET not in await pool.run("ada", _content("secrets"))


async def test_a_worker_serves_many_files_and_ends_when_it_is_idle(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.run("ada", _content("one"))
    (first,) = await _pids()
    monkeypatch.setattr(pools, "IDLE_SECONDS", 0)

    await pool.run("ada", _content("two"))

    await eventually(lambda: _ended(first))
    assert await pool.run("ada", _content("three")) == "three"


async def _some_run() -> bool:
    return bool(await _pids())


async def _ended(pid: int) -> bool:
    return pid not in await _pids()


async def test_a_worker_that_somebody_killed_is_replaced(pool: WorkerPool) -> None:
    await pool.run("ada", _content("one"))
    (pid,) = await _pids()
    os.kill(pid, 9)
    await eventually(lambda: _ended(pid))

    assert await pool.run("ada", _content("two")) == "two"


async def test_a_caller_that_gives_up_frees_its_worker(pool: WorkerPool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await pool.run("ada", _content("hang"))

    assert await pool.run("ada", _content("fine")) == "fine"


async def test_one_user_does_not_occupy_the_last_worker(pool: WorkerPool) -> None:
    waiting = [asyncio.create_task(pool.run("eve", _content("hang"))) for _ in range(5)]
    await asyncio.sleep(0)

    assert await pool.run("ada", _content("fine")) == "fine"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_closing_kills_the_workers_at_work_and_admits_no_more(pool: WorkerPool) -> None:
    at_work = asyncio.create_task(pool.run("ada", _content("hang")))
    await eventually(_some_run)

    await pool.aclose()

    with pytest.raises(WorkersUnavailable):
        await at_work
    with pytest.raises(WorkersUnavailable):
        await pool.run("ada", _content("fine"))
    assert await _pids() == []


async def test_a_worker_that_cannot_start_is_reported() -> None:
    async with aclosing(WorkerPool("support.work:no_such_function", LIMITS, 2)) as pool:
        with pytest.raises(WorkersUnavailable):
            await pool.run("ada", _content("fine"))


def test_the_peak_of_memory_is_limited_where_the_system_does_not() -> None:
    program = (
        "from threading import Thread\n"
        "from chatkit_engine.workers.child import watch_memory\n"
        "Thread(target=watch_memory, args=(64 * 2**20,), daemon=True).start()\n"
        "taken = []\n"
        "while len(taken) < 300: taken.append(bytearray(b'x' * 2**23))\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)

    assert ended.returncode == 1
    assert ended.stderr == b""


async def test_waiting_users_are_admitted_in_turn() -> None:
    slots, order = FairSlots(1, 1), list[str]()

    async def work(user: str) -> None:
        async with slots.hold(user):
            order.append(user)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(user)) for user in ("eve", "eve", "eve", "ada", "bob")]
    await asyncio.gather(*tasks)

    assert order == ["eve", "eve", "ada", "bob", "eve"]


async def test_a_cancelled_wait_gives_its_place_away() -> None:
    slots = FairSlots(1, 1)

    async def work() -> str:
        async with slots.hold("ada"):
            return "done"

    async with slots.hold("eve"):
        cancelled, waiting = asyncio.create_task(work()), asyncio.create_task(work())
        await asyncio.sleep(0)
        cancelled.cancel()
    # Admitted and cancelled in the same moment.
    admitted = asyncio.create_task(work())
    await asyncio.sleep(0)
    admitted.cancel()

    assert await waiting == "done"
    async with asyncio.timeout(5):
        assert await work() == "done"
