"""What a file is read as, whichever kind it is.

From bytes to text that a database takes.

The headings above a place in a document, while it is read from the top."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from chatkit_engine.errors import Unprocessable

NOT_UTF8 = "It is not text in UTF-8: save it as UTF-8."
MAX_LABEL = 200
LINE_ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
SPACES = re.compile(r"\s+")
SAFE_URL = re.compile(r"(https?://|/)[!-~]*")


@dataclass(frozen=True)
class Section:
    """What stands under one heading. `anchor` is the fragment of a URL that leads to it."""

    headings: tuple[str, ...]
    anchor: str
    text: str


@dataclass(frozen=True)
class Parsed:
    """A document. Where it does not say its chapter or lesson itself, they are None."""

    title: str
    sections: list[Section]
    url: str | None = None
    chapter: str | None = None
    lesson: str | None = None


class Unreadable(Unprocessable):
    """The file cannot be read; the message says why, and what to do about it."""

    code = "unreadable"


Reader = Callable[[bytes, str], Parsed]

"""Reads a file's bytes, given its name. It blocks.

Raises:
    Unreadable: it cannot; bytes that are hostile raise errors of any other kind as well.
"""


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """Return the text, without a byte order mark.

    Raises:
        Unreadable: it is not in this encoding.
    """
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data.removeprefix(codecs.BOM_UTF8), "utf-8"
    try:
        return clean(data.decode(encoding))
    except (LookupError, ValueError):
        raise Unreadable(NOT_UTF8) from None


def clean(text: str) -> str:
    """Return the text with one kind of line end, and without what cannot be stored.

    These are short calls even for a large text: none of them keeps other threads waiting for long.
    """
    for line_end in LINE_ENDS:
        text = text.replace(line_end, "\n")
    return text.replace("\x00", "").encode(errors="ignore").decode()


def label(text: str) -> str:
    """Return a heading or title in one line, of a length that a reader can take in."""
    return SPACES.sub(" ", clean(text)).strip()[:MAX_LABEL].rstrip()


def safe_url(url: str) -> str | None:
    """Return the URL if a browser may be sent there: a script is no place."""
    return url if SAFE_URL.fullmatch(url) else None


class Outline:
    """Keeps the path of headings that leads to the last one."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []

    def enter(self, level: int, heading: str) -> tuple[str, ...]:
        """Go on to a heading; return its path. Levels that are left out do not matter."""
        self._path = [above for above in self._path if above[0] < level]
        self._path.append((level, label(heading)))
        return tuple(text for _, text in self._path if text)
