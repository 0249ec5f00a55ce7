"""Reads a file as a document, with one reader for each kind of file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from chatkit_engine.features.rag.reading import html, markdown, pdf
from chatkit_engine.features.rag.reading.document import (
    Parsed,
    Reader,
    Section,
    Unreadable,
    decode,
    label,
)

DAMAGED = "The file cannot be read: it is damaged, or its suffix does not match its content."


def _read_text(data: bytes, name: str) -> Parsed:
    return Parsed(PurePosixPath(name).stem, [Section((), "", decode(data))])


READERS: Mapping[str, Reader] = {
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".mdx": markdown.read,
    ".txt": _read_text,
    ".html": html.read,
    ".htm": html.read,
    ".pdf": pdf.read,
}


def read_document(data: bytes, source: str) -> Parsed:
    """Read a file. If it does not name its chapter and lesson, they come from its path.

    It blocks: call it in a thread.

    Raises:
        Unreadable: the message says why.
    """
    path = PurePosixPath(source)
    try:
        parsed = READERS[path.suffix.lower()](data, path.name)
    except Unreadable:
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
