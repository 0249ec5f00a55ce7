"""Which processes are alive: each holds a lock file that the kernel releases when it dies.

With it the lease of a process that was killed ends at once, instead of after its ten seconds.
It serves SQLite, whose processes share a machine; elsewhere leases simply expire.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from chatkit_engine.store.ids import new_id


class ProcessLock:
    """This process's lock beside the database file; without a file there is nobody to tell."""

    def __init__(self, database_file: Path | None) -> None:
        self.holder = new_id("proc")
        self._file = database_file
        self._lock: FileLock | None = None

    def announce(self) -> None:
        if self._file is None:
            return
        for stale in self._file.parent.glob(f"{self._file.name}.proc_*.lock"):
            _remove_if_free(stale)
        self._lock = FileLock(self._path(self.holder), thread_local=False)
        self._lock.acquire(blocking=False)

    def withdraw(self) -> None:
        if self._lock is not None:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def is_dead(self, holder: str) -> bool:
        """Say whether `holder` surely runs no more. In doubt the answer is no."""
        if self._lock is None or holder == self.holder:
            return False
        path = Path(self._path(holder))
        return not path.exists() or _remove_if_free(path)

    def _path(self, holder: str) -> str:
        return f"{self._file}.{holder}.lock"


def _remove_if_free(path: Path) -> bool:
    try:
        with FileLock(path, blocking=False):
            pass
    except Timeout:
        return False
    path.unlink(missing_ok=True)
    return True
