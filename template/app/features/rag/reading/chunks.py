"""Cuts documents into passages: what is embedded, found, and shown to the model."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from app.features.rag.reading.contract import Parsed, Section
from app.features.rag.reading.cuts import cut

VERSION = 1
"""Counts changes of how documents are read and cut: each has all of them ingested anew."""

SEPARATOR = " › "


@dataclass(frozen=True)
class Piece:
    """A passage of a document. `hash` is of what is embedded, and no other piece of it has it."""

    heading: str
    anchor: str
    text: str
    embedded: str
    hash: str


def cut_document(document: Parsed) -> list[Piece]:
    """Return the pieces in order; none of them crosses a heading."""
    times: Counter[str] = Counter()
    pieces: list[Piece] = []
    for section, text in _texts(document.sections):
        heading = SEPARATOR.join(section.headings)
        where = SEPARATOR.join(_without_repetition(document.title, section.headings))
        for part in cut(text):
            embedded = f"{where}\n{part}"
            pieces.append(Piece(heading, section.anchor, part, embedded, _hash(embedded, times)))
    return pieces


def _texts(sections: list[Section]) -> Iterable[tuple[Section, str]]:
    """Yield each section and its text: the heading itself, where nothing else is below it."""
    followers = [section.headings for section in sections[1:]]
    for section, following in zip(sections, [*followers, ()], strict=False):
        depth = len(section.headings)
        is_parent = len(following) > depth and following[:depth] == section.headings
        alone = "" if is_parent or not section.headings else section.headings[-1]
        yield section, section.text.strip() or alone


def _without_repetition(title: str, headings: tuple[str, ...]) -> tuple[str, ...]:
    return headings if headings[:1] == (title,) else (title, *headings)


def _hash(embedded: str, times: Counter[str]) -> str:
    earlier = times[embedded]
    times[embedded] += 1
    counted = f"{embedded}\n{earlier}" if earlier else embedded
    return sha256(counted.encode()).hexdigest()
