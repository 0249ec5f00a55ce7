"""HTML: what an article says, without what stands around it."""

import re
from pathlib import PurePosixPath

from bs4 import BeautifulSoup, Tag

from app.features.rag.reading.contract import Parsed
from app.features.rag.reading.html_text import Walk
from app.features.rag.reading.texts import decode, label, safe_url

HEAD_BYTES = 2048
UTF8 = "utf-8"
CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
AROUND = "script, style, template, noscript, svg, nav, footer, aside, [hidden]"
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
    """Return the encoding that the page declares; what can be found so cannot be UTF-16."""
    declared = CHARSET.search(data[:HEAD_BYTES])
    name = declared[1].decode().lower() if declared else UTF8
    return UTF8 if name.startswith("utf-16") else name


def _content(page: BeautifulSoup) -> Tag:
    """Return the part that the page is there for, without navigation, scripts and the hidden."""
    for element in page.select(AROUND):
        element.extract()
    for place in CONTENT:
        found = page.select(place)
        if len(found) == 1:
            return found[0]
    for header in page.select(PAGE_HEADER):
        header.extract()
    return page.body or page


def _canonical_url(page: BeautifulSoup) -> str | None:
    link = page.select_one("link[rel=canonical][href]")
    return safe_url(str(link["href"])) if link else None
