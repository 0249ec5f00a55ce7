"""Reads Markdown, with a section for each heading.

The text of a section stays Markdown, because models read it well. Front matter (`key: value` lines
between two `---` at the top) may set the title, URL, chapter and lesson. Anchors are like GitHub's.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from chatkit_engine.features.rag.reading.document import (
    Outline,
    Parsed,
    Section,
    Unreadable,
    decode,
    document_url,
)

NOT_IN_SLUGS = re.compile(r"[^\w\- ]")
FENCE = "---"
PAIR = re.compile(r"([A-Za-z_][\w-]*)\s*:\s+(\S.*)")
QUOTED = re.compile(r"""(["'])(.*)\1""")
# Parses blocks only: the inline rules are slow on some texts, and their result is not needed.
BLOCKS = MarkdownIt("commonmark").enable("table").disable(["normalize", "inline"])
INLINE = MarkdownIt("commonmark")
OWN_ANCHOR = re.compile(r"\s*\{#([\w.:-]+)\}$")
MAX_HEADING = 400
# The parser needs about a thousand times the bytes of a line in a table or of a heading.
MAX_LINES = 200_000
TOO_LONG = f"The file has more than {MAX_LINES:,} lines: split it."


class Heading(NamedTuple):
    """A heading and the range of its lines."""

    level: int
    text: str
    first: int
    end: int


def read(data: bytes, name: str) -> Parsed:
    values, text = split_front_matter(decode(data))
    if text.count("\n") > MAX_LINES:
        raise Unreadable(TOO_LONG)
    headings = list(_headings(text))
    first = next((h.text for h in headings if h.level == 1), "")
    return Parsed(
        title=values.get("title") or _plain(OWN_ANCHOR.sub("", first)) or PurePosixPath(name).stem,
        sections=_sections(text, headings),
        url=document_url(values.get("url", "")),
        chapter=values.get("chapter"),
        lesson=values.get("lesson"),
    )


def _headings(text: str) -> Iterable[Heading]:
    """Yield the headings, except those in lists and quotes."""
    tokens = BLOCKS.parse(text)
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            first, end = opening.map
            yield Heading(int(opening.tag[1]), content.content[:MAX_HEADING], first, end)


def _sections(text: str, headings: list[Heading]) -> list[Section]:
    lines = text.split("\n")
    slugs, outline = Slugs(), Outline()
    ends = [heading.first for heading in headings] + [len(lines)]
    sections = [Section((), "", "\n".join(lines[: ends[0]]))]
    for heading, end in zip(headings, ends[1:], strict=True):
        own = OWN_ANCHOR.search(heading.text)
        plain = _plain(OWN_ANCHOR.sub("", heading.text))
        anchor = own[1] if own else slugs.make(plain)
        path = outline.enter(heading.level, plain)
        sections.append(Section(path, anchor, "\n".join(lines[heading.end : end])))
    return sections


def _plain(inline: str) -> str:
    """Return a heading's text without its markup."""
    return "".join(_words(INLINE.parseInline(inline)[0].children or []))


def _words(tokens: list[Token]) -> Iterable[str]:
    for token in tokens:
        if token.type in ("text", "code_inline", "image"):
            yield token.content
        elif token.type == "softbreak":
            yield " "


class Slugs:
    """Makes a unique anchor for each heading of a document."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def make(self, heading: str) -> str:
        base = NOT_IN_SLUGS.sub("", heading.strip().lower()).replace(" ", "-")
        slug = base
        while slug in self._times:
            slug = f"{base}-{self._times[base]}"
            self._times[base] += 1
        self._times[slug] = 1
        return slug


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return the front matter's values by key, and the rest. Nested values are ignored."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return {}, text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == FENCE:
            return _values(lines[1:number]), "\n".join(lines[number + 1 :])
    return {}, text


def _values(lines: list[str]) -> dict[str, str]:
    pairs = [pair for line in lines if (pair := PAIR.fullmatch(line.rstrip()))]
    return {pair[1].lower(): _unquoted(pair[2]) for pair in pairs}


def _unquoted(value: str) -> str:
    quoted = QUOTED.fullmatch(value)
    return quoted[2] if quoted else value
