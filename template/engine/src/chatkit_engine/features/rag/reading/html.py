"""Reads HTML: the text of the main content, without navigation, scripts and hidden elements.

Paragraphs are separated by empty lines, lists and tables become lines, and `pre` becomes fenced
code. The walk uses no recursion, because pages may be nested deeper than Python's limit.
"""

import re
from collections.abc import Iterable
from itertools import groupby, islice
from pathlib import PurePosixPath

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PageElement

from chatkit_engine.features.rag.reading.document import (
    Outline,
    Parsed,
    Section,
    clean,
    decode,
    document_url,
    label,
)

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
CELLS = ("td", "th")
INLINE = re.compile(
    r"a|abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|ruby|rp|rt|s|samp|"
    r"small|span|strong|strike|sub|sup|time|tt|u|var|wbr"
)
SPACES = re.compile(r"\s+")
PERMALINK = re.compile(r"\s*[¶#]\s*$")
LONGEST_FENCE = re.compile(r"`{3,}")
MAX_DEPTH = 50
PARAGRAPH = "\n\n"
HEAD_BYTES = 2048
UTF8 = "utf-8"
CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
BOILERPLATE = "script, style, template, noscript, svg, nav, footer, aside, [hidden]"
PAGE_HEADER = "header"
CONTENT = ("main", "[role=main]", "article")


def read(data: bytes, name: str) -> Parsed:
    page = BeautifulSoup(decode(data, _encoding(data)), "html.parser")
    title = label(page.title.get_text()) if page.title else ""
    url = _canonical_url(page)
    content = _content(page)
    walk = Walk(content)
    return Parsed(title or walk.first_heading or PurePosixPath(name).stem, walk.sections, url)


def _encoding(data: bytes) -> str:
    """Return the declared encoding. A declaration found in ASCII bytes rules out UTF-16."""
    declared = CHARSET.search(data[:HEAD_BYTES])
    name = declared[1].decode().lower() if declared else UTF8
    return UTF8 if name.startswith("utf-16") else name


def _content(page: BeautifulSoup) -> Tag:
    """Return the main content, without navigation, scripts and hidden elements."""
    for element in page.select(BOILERPLATE):
        element.extract()
    for selector in CONTENT:
        found = page.select(selector)
        if len(found) == 1:
            return found[0]
    for header in page.select(PAGE_HEADER):
        header.extract()
    return page.body or page


def _canonical_url(page: BeautifulSoup) -> str | None:
    link = page.select_one("link[rel=canonical][href]")
    return document_url(str(link["href"])) if link else None


class Walk:
    """Visits an element's descendants in order, and collects the sections."""

    def __init__(self, root: Tag) -> None:
        self._layouts = _layouts(root)
        self._outline = Outline()
        self._path: tuple[str, ...] = ()
        self._anchor = ""
        self._parts: list[str] = []
        self.sections: list[Section] = []
        self.first_heading = ""
        self._go(root)
        self._end_section()

    def _go(self, root: Tag) -> None:
        waiting: list[PageElement | str] = [root]
        while waiting:
            element = waiting.pop()
            if isinstance(element, Tag):
                waiting.extend(reversed(list(self._enter(element))))
            elif not isinstance(element, NavigableString):
                self._parts.append(str(element))
            elif type(element) is NavigableString:
                self._append(SPACES.sub(" ", element))

    def _append(self, text: str) -> None:
        starts_line = not self._parts or self._parts[-1].endswith("\n")
        if text := text.lstrip() if starts_line else text:
            self._parts.append(text)

    def _enter(self, tag: Tag) -> Iterable[PageElement | str]:
        """Return the nodes and texts to visit in place of an element."""
        if tag.name in HEADINGS:
            self._start_section(tag)
            return ()
        if tag.name == "pre":
            return (_fenced(tag.get_text()),)
        if tag.name == "table" and id(tag) not in self._layouts:
            return (PARAGRAPH, *_rows(tag), PARAGRAPH)
        if tag.name == "br":
            return ("\n",)
        if tag.name == "li":
            return ("\n- ", *tag.children, "\n")
        return tag.children if INLINE.fullmatch(tag.name) else (PARAGRAPH, *tag.children, PARAGRAPH)

    def _start_section(self, heading: Tag) -> None:
        self._end_section()
        text = PERMALINK.sub("", SPACES.sub(" ", heading.get_text())).strip()
        self.first_heading = self.first_heading or text
        self._path = self._outline.enter(int(heading.name[1]), text)
        self._anchor = _anchor(heading)

    def _end_section(self) -> None:
        text = _close_gaps(clean("".join(self._parts)))
        self.sections.append(Section(self._path, self._anchor, text))
        self._parts = []


def _layouts(root: Tag) -> set[int]:
    """Return the ids of layout tables: those that contain headings or other tables."""
    inner = root.find_all(["table", *HEADINGS])
    around = (islice(element.parents, MAX_DEPTH) for element in inner)
    tables = (next((each for each in above if each.name == "table"), None) for above in around)
    return {id(table) for table in tables if table}


def _anchor(heading: Tag) -> str:
    """Return the id of the heading, of a link inside it, or of the section that it starts."""
    inner = heading.find(["a", "span"], id=True) or heading.find("a", attrs={"name": True})
    candidates = [heading.get("id")]
    if inner is not None:
        candidates += [inner.get("id"), inner.get("name")]
    parent = heading.parent
    if parent is not None and parent.find(True) is heading:
        candidates.append(parent.get("id"))
    return next((str(candidate) for candidate in candidates if candidate), "")


def _rows(table: Tag) -> Iterable[str]:
    """Yield the rows as lines.

    A row or cell ends where the next one begins. Closing tags are optional, and without them the
    parser nests all later rows in the first one.
    """
    rows: list[list[list[str]]] = []
    for element in table.descendants:
        if isinstance(element, Tag) and element.name == "tr":
            rows.append([])
        elif isinstance(element, Tag) and element.name in CELLS and rows:
            rows[-1].append([])
        elif type(element) is NavigableString and rows and rows[-1]:
            rows[-1][-1].append(element)
    for row in rows:
        yield " | ".join(SPACES.sub(" ", "".join(cell)).strip() for cell in row) + "\n"


def _close_gaps(text: str) -> str:
    """Return the text with one empty line where there were more, and none around it."""
    # A regular expression would try each of many blanks as the beginning of a gap.
    lines = groupby(text.split("\n"), lambda line: bool(line.strip()))
    return PARAGRAPH.join("\n".join(group).rstrip() for is_text, group in lines if is_text).strip()


def _fenced(text: str) -> str:
    longest = max(map(len, LONGEST_FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"\n\n{fence}\n{text.strip()}\n{fence}\n\n"
