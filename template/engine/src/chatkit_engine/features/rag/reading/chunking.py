"""The blocks of a text: paragraphs, tables, and fenced code, which empty lines do not end.

Cuts a text into parts of a length that is good to embed and to read.

Cuts documents into passages: what is embedded, found, and shown to the model."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from chatkit_engine.features.rag.reading.document import Parsed, Section

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
ROW = re.compile(r"\s*\|.*\|\s*|.* \| .*\n?")
TARGET = 1200
MAX = 2000
MAX_SENTENCE = 600
MAX_OVERLAP = 240
SMALL = 200

SENTENCE_END = re.compile(
    r"""(?<=[.!?…])["'»”)\]]*\s+|(?<=[。！？])|\n{2,}|\n(?=\s*(?:[-*+|>]\s|\d+[.)]\s))"""
)

VERSION = 1
SEPARATOR = " › "


class Span(NamedTuple):
    """A stretch of the text. Tables and code are no prose."""

    start: int
    end: int
    is_prose: bool = True

    @property
    def length(self) -> int:
        return self.end - self.start


def blocks(text: str) -> Iterable[Span]:
    """Yield the blocks in order; between them is white space alone."""
    start = position = 0
    fence = ""
    is_prose = True
    for line in text.splitlines(keepends=True):
        end = position + len(line)
        mark = FENCE.match(line)
        if fence:
            if _closes(line, fence):
                yield Span(start, end, is_prose=False)
                start, fence, is_prose = end, "", True
        elif mark or not line.strip():
            if start < position:
                yield Span(start, position, is_prose)
            start, is_prose = (position, False) if mark else (end, True)
            fence = mark[1] if mark else ""
        elif ROW.fullmatch(line):
            is_prose = False
        position = end
    if start < position:
        yield Span(start, position, is_prose)


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return stripped.startswith(fence) and not stripped.strip(fence[0])


Part = list[Span]


def cut(text: str) -> list[str]:
    """Return the parts in order; every character but white space is in one of them at least."""
    parts = (text[start:end].strip() for start, end in _with_overlap(text, _parts(text)))
    return [part for part in parts if part]


def _parts(text: str) -> list[Part]:
    """Group what belongs together: whole blocks, or sentences where a block is too long."""
    parts: list[Part] = []
    for block in blocks(text):
        if _is_unbroken(block):
            _append(parts, block)
            continue
        if parts and _length(parts[-1]) >= TARGET // 2:
            parts.append([])
        for sentence in _sentences(text, block):
            _append(parts, sentence)
    return _with_tail(parts)


def _append(parts: list[Part], span: Span) -> None:
    if not parts or (parts[-1] and span.end - parts[-1][0].start > TARGET):
        parts.append([])
    parts[-1].append(span)


def _is_unbroken(block: Span) -> bool:
    return block.length <= (TARGET if block.is_prose else MAX)


def _with_tail(parts: list[Part]) -> list[Part]:
    """Join a last part that is too small to say much to the one before it."""
    if len(parts) > 1 and _length(parts[-1]) < SMALL:
        joined = parts[-2] + parts[-1]
        if _length(joined) <= MAX:
            return [*parts[:-2], joined]
    return parts


def _with_overlap(text: str, parts: list[Part]) -> Iterable[tuple[int, int]]:
    """Yield where each part begins and ends: with the sentence before it, if that is short."""
    last: int | None = None
    for part in parts:
        start, end = part[0].start, part[-1].end
        if last is not None and start - last <= MAX_OVERLAP and end - last <= MAX:
            start = last
        yield start, end
        last = _last_sentence(text, part[-1]) if part[-1].is_prose else None


def _last_sentence(text: str, span: Span) -> int:
    end = span.start + len(text[span.start : span.end].rstrip())
    starts = [match.end() for match in SENTENCE_END.finditer(text, span.start, end)]
    return max((start for start in starts if start < end), default=span.start)


def _length(part: Part) -> int:
    return part[-1].end - part[0].start


def _sentences(text: str, block: Span) -> Iterable[Span]:
    """Yield the sentences; one that is too long is cut between lines, words, or anywhere."""
    ends = [match.end() for match in SENTENCE_END.finditer(text, block.start, block.end)]
    start = block.start
    for end in [*ends, block.end]:
        while end - start > MAX_SENTENCE:
            middle = _gap(text, start)
            yield Span(start, middle, block.is_prose)
            start = middle
        if end > start:
            yield Span(start, end, block.is_prose)
        start = end


def _gap(text: str, start: int) -> int:
    latest = start + MAX_SENTENCE
    for blank in ("\n", " "):
        found = text.rfind(blank, start + 1, latest)
        if found > start:
            return found + 1
    return latest


"""Counts changes of how documents are read and cut: each has all of them ingested anew."""


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
