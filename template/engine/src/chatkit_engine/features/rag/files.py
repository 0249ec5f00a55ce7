"""Finds the files to ingest below a folder."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chatkit_engine.features.rag.reading.document import Unreadable

MAX_BYTES = 20 * 1024 * 1024
TOO_LARGE = f"It has more than {MAX_BYTES // 1024 // 1024} MB: split it."
NO_FILE = "It cannot be read: look at its rights, and whether it is still there."
NO_FOLDER = "The folder cannot be read: look at its rights."
NO_NAME = "Its name is not in UTF-8: rename it."


@dataclass
class FoundFile:
    """The files by source: their paths below the root, with `/`.

    `left_out` counts files by endings that no reader has. `unlisted` are how the sources begin of
    which it is not known whether they are there.
    """

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    left_out: Counter[str] = field(default_factory=Counter[str])
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unlisted: list[str] = field(default_factory=list[str])

    def is_there(self, source: str) -> bool:
        """Say whether the file of that source is there, or may be."""
        return source in self.files or source.startswith(tuple(self.unlisted))


def find_files(root: Path, endings: Collection[str]) -> FoundFile:
    """Look through a folder, or take a file alone. It blocks: call it in a thread.

    What is hidden is left out, and a link that leads out of the folder, or to another folder.
    """
    root = root.resolve()
    found = FoundFile()
    for path in [root] if root.is_file() else _walk(root, found):
        source = path.name if path == root else path.relative_to(root).as_posix()
        if not _is_inside(path, root):
            continue
        if path.suffix.lower() not in endings:
            found.left_out[path.suffix.lower() or path.name] += 1
        elif not _is_text(source):
            found.refused.append((_printable(source), NO_NAME))
        else:
            found.files[source] = path
    return found


def read_bytes(path: Path) -> bytes:
    """Return what is in a file. It blocks.

    Raises:
        Unreadable: the file is too large, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        raise Unreadable(NO_FILE) from None
    if len(data) > MAX_BYTES:
        raise Unreadable(TOO_LARGE)
    return data


def _walk(root: Path, found: FoundFile) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename)).relative_to(root).as_posix()
        found.unlisted.append("" if folder == "." else f"{folder}/")
        found.refused.append((_printable(folder), NO_FOLDER))

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _is_inside(path: Path, root: Path) -> bool:
    """Say whether it is a file (no pipe, no device) that is where it seems to be."""
    try:
        return path.resolve(strict=True).is_relative_to(root) and stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except (OSError, RuntimeError):  # a link to nowhere, or to itself
        return False


def _is_text(source: str) -> bool:
    return _printable(source) == source


def _printable(source: str) -> str:
    return source.encode("utf-8", "replace").decode()
