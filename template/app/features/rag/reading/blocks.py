"""The blocks of a text: paragraphs, tables, and fenced code, which empty lines do not end."""

import re
from collections.abc import Iterable
from typing import NamedTuple

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
ROW = re.compile(r"\s*\|.*\|\s*|.* \| .*\n?")


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
