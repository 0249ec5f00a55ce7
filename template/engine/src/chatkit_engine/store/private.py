"""Files and folders that only the service's own user may read: conversations are in them."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE, FILE_MODE = 0o700, 0o600
OTHERS = 0o077
# SQLite gives these the mode of the database when it creates them.
BESIDE_A_DATABASE = ("", "-wal", "-shm", "-journal")


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents. Folders that exist keep their modes."""
    # `Path.mkdir(parents=True)` would give the parents the usual mode.
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def make_private_database(file: Path) -> None:
    """Create a database's file if it is missing, and close it and its neighbours to others.

    A file that belongs to another user keeps its mode.
    """
    make_private_folder(file.parent)
    # An unwritable folder is SQLite's to report, with the words for it.
    with suppress(OSError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, FILE_MODE))
    for suffix in BESIDE_A_DATABASE:
        with suppress(OSError):
            path = Path(f"{file}{suffix}")
            mode = path.stat().st_mode
            if mode & OTHERS:
                path.chmod(mode & ~OTHERS)


def create_private(file: Path) -> BinaryIO:
    """Open a file for writing that others may not read, also if it exists already."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with suppress(OSError):
        file.chmod(FILE_MODE)
    return os.fdopen(descriptor, "wb")
