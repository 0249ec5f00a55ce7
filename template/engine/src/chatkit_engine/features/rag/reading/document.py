"""The result of reading a file of any kind, and the text functions that readers share."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from chatkit_engine.security.safe_urls import safe_url

HEADING_SEPARATOR = " › "
NOT_UTF8 = "The file is not text in UTF-8: save it as UTF-8."
MAX_LABEL = 200
LINE_ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
SPACES = re.compile(r"\s+")
ABSOLUTE = ("http://", "https://", "/")


@dataclass(frozen=True)
class Section:
    """The text under one heading. `anchor` is the URL fragment of the heading."""

    headings: tuple[str, ...]
    anchor: str
    text: str


@dataclass(frozen=True)
class Parsed:
    """A document. Its chapter and lesson are None unless the document itself names them."""

    title: str
    sections: list[Section]
    url: str | None = None
    chapter: str | None = None
    lesson: str | None = None


class Unreadable(Exception):
    """The file cannot be read. The message says why, and what to do about it."""


# Reads a file's bytes, given its name. It blocks, and raises `Unreadable`. Hostile bytes may raise
# any other error.
Reader = Callable[[bytes, str], Parsed]


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """Return the text without a byte order mark.

    Raises:
        Unreadable: the bytes are not in this encoding.
    """
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data.removeprefix(codecs.BOM_UTF8), "utf-8"
    try:
        return clean(data.decode(encoding))
    except (LookupError, ValueError):
        raise Unreadable(NOT_UTF8) from None


def clean(text: str) -> str:
    """Return the text with `\\n` as its only line end, and without what a database cannot store."""
    # Several short calls, because a single regular expression would hold the interpreter's lock.
    for line_end in LINE_ENDS:
        text = text.replace(line_end, "\n")
    return text.replace("\x00", "").encode(errors="ignore").decode()


def label(text: str) -> str:
    """Return a heading or title as a single line of limited length."""
    return SPACES.sub(" ", clean(text)).strip()[:MAX_LABEL].rstrip()


def document_url(url: str) -> str | None:
    """Return a document's URL if it is safe to open and has a host or begins at the site's root."""
    return safe_url(url) if url.lower().startswith(ABSOLUTE) else None


class Outline:
    """Tracks the path of headings while a document is read from the top."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []

    def enter(self, level: int, heading: str) -> tuple[str, ...]:
        """Enter the next heading and return its path. Levels may be skipped."""
        self._path = [above for above in self._path if above[0] < level]
        self._path.append((level, label(heading)))
        return tuple(text for _, text in self._path if text)
