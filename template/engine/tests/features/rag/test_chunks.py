"""Chunks lose no text, are not too long, and do not cross headings."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatkit_engine.features.rag.reading.chunking import (
    MAX,
    MAX_OVERLAP,
    TARGET,
    Chunk,
    cut,
    cut_document,
)
from chatkit_engine.features.rag.reading.readers import read_document

FIRST_LETTER = 0x4E00
STEP = 3000
LETTERS = re.compile("[\u4e00-\u9fff]")

PLAIN = ["", " ", ". ", "! ", "\n", "\n\n", " | "]
MARKS = ["\n- ", "\n| ", "\n```\n", "\n~~~\n"]

Shape = list[tuple[int, str]]


def _shapes(separators: list[str]) -> st.SearchStrategy[Shape]:
    return st.lists(st.tuples(st.integers(0, 900), st.sampled_from(separators)), max_size=40)


def _text(shape: Shape, first: int = FIRST_LETTER) -> str:
    """Return a text with lengths and separators of that shape, in which no letter comes twice."""
    text = ""
    for length, separator in shape:
        text += "".join(map(chr, range(first, first + length))) + separator
        first += length
    return text[:15_000]


def _letters(text: str) -> list[str]:
    return LETTERS.findall(text)


def _pieces(text: str, source: str = "a.md") -> list[Chunk]:
    return cut_document(read_document(text.encode(), source))


@given(_shapes(PLAIN + MARKS))
def test_every_letter_is_in_a_part_and_no_part_is_too_long(shape: Shape) -> None:
    text = _text(shape)

    parts = cut(text)

    assert {letter for part in parts for letter in _letters(part)} == set(_letters(text))
    for part in parts:
        assert 0 < len(part) <= MAX
        assert part in text


@given(_shapes(PLAIN + MARKS))
def test_parts_are_in_order_and_overlap_little(shape: Shape) -> None:
    parts = [letters for part in cut(_text(shape)) if (letters := _letters(part))]

    for before, after in pairwise(parts):
        assert before[-1] < after[-1]
        assert len(set(before) & set(after)) <= MAX_OVERLAP


@given(st.lists(st.tuples(st.integers(1, 6), _shapes(PLAIN)), max_size=6))
def test_no_chunk_crosses_a_heading(sections: list[tuple[int, Shape]]) -> None:
    starts = range(FIRST_LETTER, FIRST_LETTER + STEP * len(sections), STEP)
    texts = [_text(shape, start)[:STEP] for (_, shape), start in zip(sections, starts, strict=True)]
    document = "\n".join(
        f"{'#' * level} h{number}\n\n{text}\n"
        for number, ((level, _), text) in enumerate(zip(sections, texts, strict=True))
    )

    chunks = _pieces(document)

    for chunk in chunks:
        owners = {(ord(letter) - FIRST_LETTER) // STEP for letter in _letters(chunk.text)}
        assert [f"h{owner}" for owner in owners] in ([chunk.anchor], [])
    found = {letter for chunk in chunks for letter in _letters(chunk.text)}
    assert found == {letter for text in texts for letter in _letters(text)}


def test_chunks_end_after_a_sentence_and_overlap_by_whole_sentences() -> None:
    sentences = [f"Sentence number {number} says something of some length." for number in range(60)]

    first, second, *_ = cut(" ".join(sentences))

    assert TARGET <= len(first) <= MAX
    assert first.endswith(".")
    assert second.endswith(".")
    assert second.startswith("Sentence")
    assert second.partition(".")[0] in first


def test_paragraphs_that_fit_are_not_cut() -> None:
    paragraphs = [f"{number} " + "word " * 100 for number in range(8)]

    parts = cut("\n\n".join(paragraphs))

    assert all(any(paragraph.strip() in part for part in parts) for paragraph in paragraphs)


def test_code_and_tables_that_fit_are_not_cut() -> None:
    code = "```python\n" + "\n\n".join(f"call_{number}(x)" for number in range(100)) + "\n```"
    table = "\n".join(f"| row {number} | something |" for number in range(60))
    prose = "Some words. " * 50

    parts = cut(f"{prose}\n\n{code}\n\n{prose}\n\n{table}\n\n{prose}")

    assert sum(code in part for part in parts) == 1
    assert sum(table in part for part in parts) == 1


def test_code_that_is_too_long_is_cut_between_lines() -> None:
    lines = [f"    value_{number} = compute({number})" for number in range(300)]

    parts = cut("```\n" + "\n".join(lines) + "\n```")

    whole = {line.strip() for part in parts for line in part.split("\n")}
    assert {line.strip() for line in lines} <= whole


def test_a_line_without_an_end_is_cut() -> None:
    parts = cut("x" * 10_000)

    assert sum(map(len, parts)) >= 10_000
    assert max(map(len, parts)) <= MAX


def test_the_embedded_text_begins_with_the_title_and_headings() -> None:
    text = "---\ntitle: Guide\n---\n# Setup\n## Wires\nRed one first."

    [chunk] = _pieces(text)

    assert chunk.heading == "Setup › Wires"
    assert chunk.embedded == "Guide › Setup › Wires\nRed one first."
    assert _pieces("# Guide\ntext")[0].embedded == "Guide\ntext"


def test_a_heading_with_nothing_below_it_is_a_chunk() -> None:
    chunks = _pieces("# A\n## Does it float? No.\n# B\n## C\ntext")

    assert [chunk.text for chunk in chunks] == ["Does it float? No.", "text"]


def test_equal_chunks_of_a_document_have_different_hashes() -> None:
    text = "# A\nsame\n# A\nsame\n# A\nsame"

    chunks = _pieces(text)

    assert len({chunk.embedded for chunk in chunks}) == 1
    assert len({chunk.hash for chunk in chunks}) == 3
    assert [chunk.hash for chunk in chunks] == [chunk.hash for chunk in _pieces(text)]


def test_a_document_without_text_has_no_chunks() -> None:
    assert _pieces("") == []
    assert _pieces("---\ntitle: A\n---\n\n  \n") == []
