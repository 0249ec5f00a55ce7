"""Finds the files to ingest in a folder, and loads them."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from chatkit_engine.features.rag.reading.chunking import VERSION
from chatkit_engine.features.rag.reading.document import Unreadable

MAX_BYTES = 20 * 1024 * 1024
TOO_LARGE = f"The file is larger than {MAX_BYTES // 1024 // 1024} MB: split it."
NO_FILE = "The file cannot be read: check its permissions, and that it still exists."
NO_FOLDER = "The folder cannot be read: check its permissions."
NO_NAME = "The file's name is not valid UTF-8: rename it."


@dataclass
class FoundFiles:
    """The files by source, which is the path below the root, with `/`.

    `left_out` counts the files of each suffix that no reader supports. `unlisted` are the source
    prefixes of folders that could not be listed: their files may or may not exist.
    """

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    left_out: Counter[str] = field(default_factory=Counter[str])
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unlisted: list[str] = field(default_factory=list[str])

    def may_exist(self, source: str) -> bool:
        """Return False only if the file of that source is known to be gone."""
        return source in self.files or source.startswith(tuple(self.unlisted))


@dataclass(frozen=True)
class LoadedFile:
    """A file's bytes. `content_hash` changes with the bytes, and with `VERSION` of the chunking."""

    data: bytes
    content_hash: str


def find_files(root: Path, suffixes: Collection[str]) -> FoundFiles:
    """Return the files with these suffixes below a folder, or the root alone if it is a file.

    Hidden files are skipped, and so are links that lead out of the folder or to another folder.
    It blocks: call it in a thread.
    """
    root = root.resolve()
    found = FoundFiles()
    for path in [root] if root.is_file() else _walk(root, found):
        source = path.name if path == root else path.relative_to(root).as_posix()
        if not _is_inside(path, root):
            continue
        if path.suffix.lower() not in suffixes:
            found.left_out[path.suffix.lower() or path.name] += 1
        elif _printable(source) != source:
            found.refused.append((_printable(source), NO_NAME))
        else:
            found.files[source] = path
    return found


def load_file(path: Path) -> LoadedFile:
    """Read a file. It blocks: call it in a thread.

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
    return LoadedFile(data, sha256(f"{VERSION} ".encode() + data).hexdigest())


def _walk(root: Path, found: FoundFiles) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename)).relative_to(root).as_posix()
        found.unlisted.append("" if folder == "." else f"{folder}/")
        found.refused.append((_printable(folder), NO_FOLDER))

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _is_inside(path: Path, root: Path) -> bool:
    """Return whether the path is a regular file (no pipe, no device) below the root."""
    try:
        return path.resolve(strict=True).is_relative_to(root) and stat.S_ISREG(path.stat().st_mode)
    except PermissionError:  # it is listed, so that reading it reports the error
        return True
    except (OSError, RuntimeError):  # a link that is broken, or that points to itself
        return False


def _printable(source: str) -> str:
    return source.encode("utf-8", "replace").decode()
