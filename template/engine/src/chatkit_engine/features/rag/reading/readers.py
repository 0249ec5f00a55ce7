"""Reads a file as a document, with one reader for each kind of file.

A reader is imported when it is first used, because a worker process pays for what it imports.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import PurePosixPath

from chatkit_engine.features.rag.reading.document import (
    Parsed,
    Reader,
    Unreadable,
    label,
)

DAMAGED = "The file cannot be read: it is damaged, or its suffix does not match its content."


# The module of each reader, with its function `read`.
HERE = __name__.rpartition(".")[0]
READERS: Mapping[str, str] = {
    ".md": f"{HERE}.markdown",
    ".markdown": f"{HERE}.markdown",
    ".mdx": f"{HERE}.markdown",
    ".txt": f"{HERE}.text",
    ".html": f"{HERE}.html",
    ".htm": f"{HERE}.html",
    ".pdf": f"{HERE}.pdf",
}


def read_document(data: bytes, source: str) -> Parsed:
    """Read a file. If it does not name its chapter and lesson, they come from its path.

    Hostile bytes make it slow, or take much memory: call it in a worker process.

    Raises:
        Unreadable: the message says why.
    """
    path = PurePosixPath(source)
    try:
        reader: Reader = import_module(READERS[path.suffix.lower()]).read
        parsed = reader(data, path.name)
    except (Unreadable, MemoryError):
        raise
    except Exception:  # hostile bytes make parsers raise errors of many kinds
        raise Unreadable(DAMAGED) from None
    chapter = path.parts[0] if len(path.parts) > 1 else ""
    return replace(
        parsed,
        title=label(parsed.title),
        chapter=label(chapter if parsed.chapter is None else parsed.chapter),
        lesson=label(path.stem if parsed.lesson is None else parsed.lesson),
    )
