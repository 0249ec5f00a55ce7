"""Plain text: one section, with the file's name for a title.

From a file to a document: one reader for each kind of file."""

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

DAMAGED = "It cannot be read: it is damaged, or not what its name says."


def read(data: bytes, name: str) -> Parsed:
    return Parsed(PurePosixPath(name).stem, [Section((), "", decode(data))])


def read_document(data: bytes, source: str) -> Parsed:
    """Return what a file says, with its chapter and lesson: its own words for them, else its path.

    It blocks: call it in a thread.

    Raises:
        Unreadable: nothing can be read in it.
    """
    path = PurePosixPath(source)
    try:
        parsed = READERS[path.suffix.lower()](data, path.name)
    except Unreadable:
        raise
    except Exception:  # parsers raise errors of many kinds for hostile bytes
        raise Unreadable(DAMAGED) from None
    chapter = path.parts[0] if len(path.parts) > 1 else ""
    return replace(
        parsed,
        title=label(parsed.title),
        chapter=label(chapter if parsed.chapter is None else parsed.chapter),
        lesson=label(path.stem if parsed.lesson is None else parsed.lesson),
    )


READERS: Mapping[str, Reader] = {
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".mdx": markdown.read,
    ".txt": read,
    ".html": html.read,
    ".htm": html.read,
    ".pdf": pdf.read,
}
