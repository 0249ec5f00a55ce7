"""Watches a SQLite file: SQLite itself goes on writing to a file that was removed."""

from pathlib import Path

import structlog

from chatkit_engine.store.disk import disk_problem
from chatkit_engine.store.failures import LOST, DatabaseUnavailable

log = structlog.stdlib.get_logger(__name__)


class DatabaseFileLost(DatabaseUnavailable):
    """The file was removed or replaced while it was open: what is written to it would be lost."""

    def __init__(self) -> None:
        super().__init__(LOST)


class WatchedFile:
    """A database file and its WAL, each of which must stay the file that was opened.

    A lost file is not opened again, because SQLite would use the new WAL with the old file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path
        self._opened: int | None = None
        self._opened_wal: int | None = None
        self._is_lost = False
        self._had_content = False

    def on_opened(self) -> None:
        """Record which files a connection has opened."""
        self._opened = self._opened or _inode(self._path)
        # SQLite follows links before it names the WAL.
        file = self._path.resolve()
        self._wal = file.with_name(f"{file.name}-wal")
        self._opened_wal = _inode(self._wal)

    def on_closed(self) -> None:
        """Expect another WAL, because the last connection may have removed it."""
        self._opened_wal = None

    def check(self) -> None:
        """Do nothing before the first connection.

        Raises:
            DatabaseFileLost: another file, or none, has taken the file's place.
        """
        was_lost, self._is_lost = self._is_lost, self._differs()
        if self._is_lost and not was_lost:
            log.error(f"the database {LOST.fix}", cause=LOST.name)
        if self._is_lost:
            raise DatabaseFileLost

    def problem(self) -> str:
        """Return why nothing could be written, or an empty string."""
        if self._opened is None:
            return ""
        return disk_problem(self._path.absolute().parent, self._path)

    def _differs(self) -> bool:
        if self._opened is None:
            return False
        return (
            self._opened != _inode(self._path)
            or self._was_emptied()
            or (self._opened_wal is not None and self._opened_wal != _inode(self._wal))
        )

    def _was_emptied(self) -> bool:
        """Look at the size alone: opening and closing the file would release SQLite's locks."""
        is_empty = not _size(self._path)
        self._had_content = self._had_content or not is_empty
        return self._had_content and is_empty


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
