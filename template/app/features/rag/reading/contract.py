"""What a file is read as, whichever kind it is."""

from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Unprocessable


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
