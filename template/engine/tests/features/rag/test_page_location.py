"""Tests the names of chapters and lessons in folders and pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_engine.context import PageContext
from chatkit_engine.features.rag.rows import Document
from chatkit_engine.features.rag.search import PageLocation, Scope, UnitName


@pytest.mark.parametrize("page", ["3", "03", "Chapter 3", "chapter 3: Loops", "Loops", "3-loops"])
@pytest.mark.parametrize("folder", ["03-loops", "3 Loops", "kapitel-3-loops", "3_LOOPS"])
def test_one_chapter_has_many_spellings(page: str, folder: str) -> None:
    name = UnitName.parse(page)

    assert name is not None
    assert name.matches(folder)


@pytest.mark.parametrize(
    ("page", "folder"),
    [
        ("3", "04-loops"),
        ("3", "30-loops"),
        ("3", "loops"),
        ("Loops", "03-arrays"),
        ("3: Loops", "03-arrays"),
        ("Lesson", "03-loops"),
        ("3", ""),
        ("parting", "ing"),
    ],
)
def test_other_chapters_do_not_match(page: str, folder: str) -> None:
    name = UnitName.parse(page)

    assert name is None or not name.matches(folder)


@pytest.mark.parametrize("nothing", [None, "", "   ", "---", "Chapter"])
def test_an_empty_name_is_no_chapter(nothing: str | None) -> None:
    assert UnitName.parse(nothing) is None


@given(st.text(max_size=200))
def test_any_text_of_a_page_is_parsed(text: str) -> None:
    name = UnitName.parse(text)

    assert name is None or name.matches(text)


def _document(chapter: str, lesson: str) -> Document:
    return Document("", f"{chapter}/{lesson}", "c", "s", "t", chapter=chapter, lesson=lesson)


LESSONS = [_document("03-loops", "01-for"), _document("03-loops", "02-while")]
OTHERS = [_document("04-arrays", "01-for"), _document("", "01-for")]
ALL = LESSONS + OTHERS


def _within(scope: Scope, **page: str) -> list[str] | None:
    return PageLocation.of(PageContext.model_validate(page)).documents_in(scope, ALL)


def test_scopes_are_the_documents_of_the_page() -> None:
    page = {"current_chapter": "3", "current_lesson": "for"}

    assert _within("full", **page) is None
    assert _within("chapter", **page) == [document.id for document in LESSONS]
    assert _within("lesson", **page) == [LESSONS[0].id]
    assert _within("lesson", current_lesson="while") == [LESSONS[1].id]
    assert _within("chapter") == []
