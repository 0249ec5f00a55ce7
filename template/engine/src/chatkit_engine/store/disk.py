"""Looks at files and folders from outside: whether they can be written, and the space left."""

import os
import shutil
from pathlib import Path

# Enough for a checkpoint of SQLite's WAL, and for an upload.
MIN_FREE_BYTES = 32 * 1024 * 1024


def disk_problem(folder: Path, *files: Path) -> str:
    """Return why nothing could be written to the folder and its files, or an empty string."""
    for path in (folder, *files):
        if not path.exists():
            return f"{path.name} was removed"
        if not os.access(path, os.W_OK):
            return f"{path.name} is not writable"
    free = shutil.disk_usage(folder).free
    return "" if free >= MIN_FREE_BYTES else f"only {free // 2**20} MB are free on its disk"
