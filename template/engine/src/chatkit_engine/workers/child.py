"""The program of a worker process: calls one function for one file after another.

It uses the standard library only, because each worker pays for what it imports. Frames go through
standard input and output: four bytes of length, then the content. A request is a frame with the
arguments as JSON, the frames of the file's content, and an empty frame. The answer is one frame. An
empty request only asks whether the worker is alive.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from math import ceil
from tempfile import SpooledTemporaryFile
from threading import Thread
from typing import Any, BinaryIO, cast

try:
    import resource
except ImportError:  # Windows, where only the parent's limit of time holds
    resource = None

LENGTH_BYTES = 4
IN_MEMORY_BYTES = 1024 * 1024
NICENESS = 10
WATCH_SECONDS = 0.05
# The unit of `ru_maxrss` differs.
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024

Work = Callable[..., Any]


def main(function: str, memory_bytes: int, cpu_seconds: int) -> None:
    """Serve requests until standard input ends. Whatever goes wrong ends the process."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not become part of an answer
    # The parent decides when a worker ends. A terminal and a supervisor signal the whole group.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    module, _, name = function.partition(":")
    work: Work = getattr(import_module(module), name)
    limit_memory(memory_bytes)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    send(answers, True)
    while (request := receive(requests)) is not None:
        if not request:
            send(answers, True)
            continue
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
            file = cast(BinaryIO, spool)
            while content := receive(requests):
                file.write(content)
            file.seek(0)
            limit_cpu(cpu_seconds)
            send(answers, work(file, **json.loads(request)))


def send(stream: BinaryIO, value: Any) -> None:
    content = json.dumps(value).encode()
    stream.write(len(content).to_bytes(LENGTH_BYTES) + content)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Return the next frame, or None at the end of the stream."""
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    return stream.read(int.from_bytes(length))


def limit_memory(max_bytes: int) -> None:
    if resource is None:
        return
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_DATA, max_bytes)
    if sys.platform == "darwin":  # which does not enforce the limit
        Thread(target=watch_memory, args=(max_bytes,), daemon=True).start()


def watch_memory(max_bytes: int) -> None:
    """End the process as soon as its peak of memory exceeds the limit."""
    # On Linux, a process starts with the peak of the one that started it.
    limit = max(max_bytes, peak_memory())
    while peak_memory() <= limit:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def peak_memory() -> int:
    """Return the largest size in bytes that the process has had in memory."""
    assert resource is not None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT


def limit_cpu(seconds: int) -> None:
    """End the process after so much more CPU time, even if the parent no longer exists."""
    if resource is not None:
        _lower(resource.RLIMIT_CPU, ceil(time.process_time()) + seconds)


def _lower(limit: int, value: int) -> None:
    """Set the soft limit, which ends the process and which the next request may raise again."""
    assert resource is not None
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, hard))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
