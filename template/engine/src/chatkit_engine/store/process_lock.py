"""Lock files that show which processes are alive: the kernel releases a lock when its process dies.

Because of them, the leases of a killed process end at once instead of after ten seconds. They work
for SQLite, whose processes share one machine. With PostgreSQL, leases just expire.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from chatkit_engine.store.ids import new_id
from chatkit_engine.store.private import FILE_MODE


class ProcessLock:
    """This process's lock file, next to the database file. Does nothing without a database file."""

    def __init__(self, database_file: Path | None) -> None:
        self.holder = new_id("proc")
        self._file = database_file
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock, and remove the files of processes that are dead."""
        if self._file is None:
            return
        for stale in self._file.parent.glob(f"{self._file.name}.proc_*.lock"):
            _remove_if_free(stale)
        self._lock = FileLock(self._path(self.holder), mode=FILE_MODE, thread_local=False)
        self._lock.acquire(blocking=False)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def is_dead(self, holder: str) -> bool:
        """Return whether the process `holder` is certainly dead. If in doubt, return False."""
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
