"""Cuts documents into chunks: what is embedded, found, and shown to the model."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from semantic_text_splitter import MarkdownSplitter

from chatkit_engine.features.rag.reading.document import HEADING_SEPARATOR, Parsed, Section

# Increase this after a change to how documents are read or cut: the next `ingest` then embeds all
# of them again, because the hash of each file depends on it.
VERSION = 2
# Characters. A chunk ends at the first good place (a block, a sentence, a line) after the target.
TARGET = 1200
MAX = 2000
MAX_OVERLAP = 240
SPLITTER = MarkdownSplitter((TARGET, MAX), overlap=MAX_OVERLAP)


@dataclass(frozen=True)
class Chunk:
    """A part of a document. `hash` is of `embedded`, and unique within the document."""

    heading: str
    anchor: str
    text: str
    embedded: str
    hash: str


def cut_document(document: Parsed) -> list[Chunk]:
    """Return the chunks in order. A chunk never crosses a heading."""
    times: Counter[str] = Counter()
    chunks: list[Chunk] = []
    for section, text in _texts(document.sections):
        heading = HEADING_SEPARATOR.join(section.headings)
        path = section.headings
        path = path if path[:1] == (document.title,) else (document.title, *path)
        for part in cut(text):
            embedded = f"{HEADING_SEPARATOR.join(path)}\n{part}"
            chunks.append(Chunk(heading, section.anchor, part, embedded, _hash(embedded, times)))
    return chunks


def cut(text: str) -> list[str]:
    """Return the parts in order. Every character except white space is in at least one of them."""
    return [part for each in SPLITTER.chunks(text) if (part := each.strip())]


def _texts(sections: list[Section]) -> Iterable[tuple[Section, str]]:
    """Yield each section with its text, or its heading if there is nothing below it."""
    followers = [section.headings for section in sections[1:]]
    for section, following in zip(sections, [*followers, ()], strict=False):
        depth = len(section.headings)
        is_parent = len(following) > depth and following[:depth] == section.headings
        alone = "" if is_parent or not section.headings else section.headings[-1]
        yield section, section.text.strip() or alone


def _hash(embedded: str, times: Counter[str]) -> str:
    """Return a hash that also tells apart the equal chunks of a document."""
    earlier = times[embedded]
    times[embedded] += 1
    counted = f"{embedded}\n{earlier}" if earlier else embedded
    return sha256(counted.encode()).hexdigest()
