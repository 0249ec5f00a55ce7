"""Files and folders that only the service's own user may read: conversations are in them."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents. Folders that exist keep their modes."""
    # `Path.mkdir(parents=True)` would give the parents the usual mode.
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def create_private_database(file: Path) -> None:
    """Create a database's file if it is missing. SQLite gives its neighbours the same mode.

    A file that exists keeps its mode, because its owner may share it with a group on purpose.
    """
    # A file that exists must not be opened: closing it would release this process's locks on it
    # (POSIX), and another process would then remove the WAL that is in use.
    # An unwritable folder is SQLite's to report.
    with suppress(OSError):
        os.close(os.open(file.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))


def readable_by_others(file: Path) -> bool:
    """Return whether any user of the machine may read the file."""
    with suppress(OSError):
        return bool(file.stat().st_mode & stat.S_IROTH)
    return False


def create_private(file: Path) -> BinaryIO:
    """Open a file for writing that others may not read, also if it exists already."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with suppress(OSError):
        file.chmod(FILE_MODE)
    return os.fdopen(descriptor, "wb")
