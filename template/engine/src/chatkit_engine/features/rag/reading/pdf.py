"""Reads PDF, with a section for each page under the headings of the file's outline."""

import logging
from collections.abc import Iterable
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from pypdf import PdfReader

from chatkit_engine.features.rag.reading.document import (
    Outline,
    Parsed,
    Section,
    Unreadable,
    clean,
    label,
)

ENCRYPTED = "The PDF is encrypted: save it without a password."
BROKEN = "The file is not a readable PDF: print it to a new PDF."
SCANNED = "The PDF has images only, no text: run OCR on it first."
TOO_LONG = "The PDF has too much text: split it."
MAX_CHARACTERS = 20_000_000
# pypdf logs a warning for each flaw of a file.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(data: bytes, name: str) -> Parsed:
    try:
        reader = PdfReader(BytesIO(data))
        is_encrypted = reader.is_encrypted
    except MemoryError:
        raise
    except Exception:  # hostile bytes make pypdf raise errors of many kinds
        raise Unreadable(BROKEN) from None
    try:
        sections = _sections(reader)
        title = label(str((reader.metadata and reader.metadata.title) or ""))
    except (Unreadable, MemoryError):
        raise
    except Exception:  # here too
        raise Unreadable(ENCRYPTED if is_encrypted else BROKEN) from None
    if not any(section.text for section in sections):
        raise Unreadable(SCANNED)
    return Parsed(title or PurePosixPath(name).stem, sections)


def _sections(reader: PdfReader) -> list[Section]:
    paths = _paths(reader)
    sections: list[Section] = []
    path: tuple[str, ...] = ()
    length = 0
    for number, page in enumerate(reader.pages):
        on_page = paths.get(number, [path])
        text = clean(page.extract_text()).strip()
        length += len(text)
        if length > MAX_CHARACTERS:
            raise Unreadable(TOO_LONG)
        sections.append(Section(on_page[0], f"page={number + 1}", text))
        path = on_page[-1]
    return sections


def _paths(reader: PdfReader) -> dict[int, list[tuple[str, ...]]]:
    """Return the paths of the headings that begin on each page."""
    try:
        entries = list(_entries(reader, reader.outline, 1))
    except Exception:  # the pages can be read without an outline
        return {}
    outline = Outline()
    paths: dict[int, list[tuple[str, ...]]] = {}
    for number, level, title in entries:
        paths.setdefault(number, []).append(outline.enter(level, title))
    return paths


def _entries(reader: PdfReader, outline: Any, level: int) -> Iterable[tuple[int, int, str]]:
    for entry in outline:
        if isinstance(entry, list):
            yield from _entries(reader, entry, level + 1)
        else:
            number = reader.get_destination_page_number(entry)
            if number is not None and entry.title:
                yield number, level, str(entry.title)
