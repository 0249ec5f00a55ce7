"""Cuts a text into parts of a length that is good to embed and to read."""

import re
from collections.abc import Iterable

from app.features.rag.reading.blocks import Span, blocks

TARGET = 1200
MAX = 2000
MAX_SENTENCE = 600
MAX_OVERLAP = 240
SMALL = 200

SENTENCE_END = re.compile(
    r"""(?<=[.!?…])["'»”)\]]*\s+|(?<=[。！？])|\n{2,}|\n(?=\s*(?:[-*+|>]\s|\d+[.)]\s))"""
)

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
