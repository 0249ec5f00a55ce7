"""Chapters and lessons: what documents and pages call them, and which of them mean the same.

"03-loops", "Chapter 3", "3" and "Loops" all name one chapter. A number counts where both have one,
and so does a name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chatkit_engine.context import PageContext
from chatkit_engine.features.rag.rows import Document
from chatkit_engine.features.rag.words import fold, words_of

KINDS = frozenset(
    ("chapter", "lesson", "unit", "part", "section", "kapitel", "lektion", "teil", "abschnitt")
)


@dataclass(frozen=True)
class Place:
    """What a chapter or a lesson is called. Either may be empty."""

    number: str
    name: str

    @classmethod
    def read(cls, text: str | None) -> "Place | None":
        words = words_of(fold(text or ""))
        if words and words[0] in KINDS:
            words = words[1:]
        if not words:
            return None
        if words[0].isdecimal():
            return cls(words[0].lstrip("0") or "0", " ".join(words[1:]))
        return cls("", " ".join(words))

    def is_called(self, text: str) -> bool:
        """Say whether what is called `text` is the same place."""
        other = Place.read(text)
        if other is None:
            return False
        pairs = [(self.number, other.number), (self.name, other.name)]
        said_by_both = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
        return bool(said_by_both) and all(mine == theirs for mine, theirs in said_by_both)


class Located(Protocol):
    """What stands in a chapter and a lesson: a document, or a passage of one."""

    @property
    def chapter(self) -> str: ...

    @property
    def lesson(self) -> str: ...


@dataclass(frozen=True)
class Whereabouts:
    """Where the user is: the chapter and the lesson of the page, as far as it names them."""

    chapter: Place | None = None
    lesson: Place | None = None

    @classmethod
    def of(cls, page: PageContext | None) -> "Whereabouts":
        if page is None:
            return cls()
        return cls(Place.read(page.current_chapter), Place.read(page.current_lesson))

    def in_chapter(self, document: Located) -> bool:
        return self.chapter is not None and self.chapter.is_called(document.chapter)

    def in_lesson(self, document: Located) -> bool:
        """Say whether it is the page's lesson; one without a chapter may be in any."""
        if self.lesson is None or not self.lesson.is_called(document.lesson):
            return False
        return self.chapter is None or self.in_chapter(document)

    def within(self, scope: str, documents: Sequence[Document]) -> list[str] | None:
        """Return the ids of the documents in a scope; None for all of them."""
        if scope == "full":
            return None
        belongs = self.in_chapter if scope == "chapter" else self.in_lesson
        return [document.id for document in documents if belongs(document)]
