"""Tests the readers of Markdown, text, HTML and PDF with ordinary and hostile files."""

import codecs

import pytest
from features.rag.pdfs import make_pdf

from chatkit_engine.features.rag.reading.document import Parsed, Section, Unreadable
from chatkit_engine.features.rag.reading.readers import READERS, read_document


def _read(text: str, source: str = "a.md") -> Parsed:
    return read_document(text.encode(), source)


def _sections(text: str, source: str = "a.md") -> list[tuple[tuple[str, ...], str, str]]:
    """Return the sections that are not empty: their headings, anchors and texts."""
    return [
        (section.headings, section.anchor, section.text.strip())
        for section in _read(text, source).sections
        if section.text.strip()
    ]


def _refusal(data: bytes, source: str) -> str:
    with pytest.raises(Unreadable) as refused:
        read_document(data, source)
    return str(refused.value)


def test_markdown_is_cut_at_headings_of_both_kinds() -> None:
    text = "Before\n\n# One *two* `three`\na\n## Deeper ##\nb\n\nSetext\n---\nc\n# Next\nd"

    assert _sections(text) == [
        ((), "", "Before"),
        (("One two three",), "one-two-three", "a"),
        (("One two three", "Deeper"), "deeper", "b"),
        (("One two three", "Setext"), "setext", "c"),
        (("Next",), "next", "d"),
    ]


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_comments_in_code_are_not_headings(fence: str) -> None:
    code = f"{fence}sh\n# a comment\n\nnot\n---\n{fence}"

    assert _sections(f"# Code\n{code}") == [(("Code",), "code", code)]


def test_headings_in_lists_and_quotes_are_text() -> None:
    [section] = _sections("# A\n> # quoted\n\n- # listed\n")

    assert section[0] == ("A",)
    assert "# quoted" in section[2]
    assert "# listed" in section[2]


def test_anchors_are_as_github_makes_them() -> None:
    text = "# What's new?\na\n# Größe & Maß\nb\n# Setup\nc\n# Setup\nd\n# Setup-1\ne\n# X {#own}\nf"

    anchors = [anchor for _, anchor, _ in _sections(text)]

    assert anchors == ["whats-new", "größe--maß", "setup", "setup-1", "setup-1-1", "own"]


def test_heading_levels_may_be_skipped() -> None:
    text = "### Deep\na\n# Top\nb\n#### Deeper\nc\n## Middle\nd"

    paths = [headings for headings, _, _ in _sections(text)]

    assert paths == [("Deep",), ("Top",), ("Top", "Deeper"), ("Top", "Middle")]


def test_front_matter_sets_title_url_chapter_and_lesson() -> None:
    parsed = _read(
        "---\r\ntitle: \"A: b\"\r\nurl: https://x.example/a\r\nchapter: 3\r\nlesson: 'loops'\r\n"
        "tags:\r\n  - one\r\n---\r\n# Heading\r\ntext\r\n",
        "01-start/file.md",
    )

    assert (parsed.title, parsed.url) == ("A: b", "https://x.example/a")
    assert (parsed.chapter, parsed.lesson) == ("3", "loops")
    assert "tags" not in "".join(section.text for section in parsed.sections)


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    text = "---\ntitle: A\n\nand no end"

    assert _read(text).title == "a"
    assert "title: A" in _sections(text)[0][2]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "https://a b", "x"])
def test_an_unsafe_url_is_dropped(url: str) -> None:
    assert _read(f"---\nurl: {url}\n---\ntext").url is None


@pytest.mark.parametrize(
    ("text", "source", "title"),
    [
        ("---\ntitle: Mine\n---\n# Heading", "a.md", "Mine"),
        ("## Lower\n# Heading `x`", "a.md", "Heading x"),
        ("## Lower", "folder/getting started.md", "getting started"),
        ("text", "notes.of.may.txt", "notes.of.may"),
        ("<title> A &amp;\n B </title>", "a.html", "A & B"),
        ("<h1>Heading</h1>", "a.html", "Heading"),
        ("<p>text", "page.htm", "page"),
    ],
)
def test_every_document_has_a_title(text: str, source: str, title: str) -> None:
    assert _read(text, source).title == title


@pytest.mark.parametrize(
    ("source", "chapter", "lesson"),
    [
        ("03-loops/01-for.md", "03-loops", "01-for"),
        ("03-loops/deep/er/01-for.md", "03-loops", "01-for"),
        ("intro.md", "", "intro"),
    ],
)
def test_the_path_gives_chapter_and_lesson(source: str, chapter: str, lesson: str) -> None:
    parsed = _read("text", source)

    assert (parsed.chapter, parsed.lesson) == (chapter, lesson)


def test_html_is_reduced_to_its_main_content() -> None:
    page = """<!doctype html><html><head><title>T</title><style>p {}</style></head><body>
    <header>Site</header><nav>Menu</nav><aside>Advert</aside>
    <main><header><h1 id="top">Top<a class="headerlink" href="#top">¶</a></h1></header>
    One <b>bold</b>&nbsp;&lt;word&gt;<br>next line<!-- comment -->
    <script>alert(1)</script><p hidden>secret</p>
    <ul><li>first</li><li>second</li></ul></main><footer>Imprint</footer></body></html>"""

    [(headings, anchor, text)] = _sections(page, "a.html")

    assert (headings, anchor) == (("Top",), "top")
    assert text == "One bold <word>\nnext line\n\n- first\n\n- second"


def test_tables_and_code_of_html_are_kept_as_lines() -> None:
    page = (
        "<table><tr><th>Code</th><th>What</th></tr><tr><td>E-1</td><td>a\n b</td></tr></table>"
        "<pre>def f():\n\n    return 1\n</pre>"
    )

    [(_, _, text)] = _sections(page, "a.html")

    assert text == "Code | What\nE-1 | a b\n\n```\ndef f():\n\n    return 1\n```"


def test_a_layout_table_is_not_read_as_a_table() -> None:
    page = "<table><tr><td>Menu</td><td><h2>Title</h2>text<table><tr><td>1<td>2</table></table>"

    assert _sections(page, "a.html")[-1] == (("Title",), "", "text\n\n1 | 2")


@pytest.mark.parametrize(
    "heading",
    [
        '<h2 id="here">H</h2>',
        '<h2><a name="here"></a>H</h2>',
        '<h2><span id="here">H</span></h2>',
        '<section id="here"><h2>H</h2>',
    ],
)
def test_an_anchor_of_html_is_where_a_browser_finds_it(heading: str) -> None:
    assert _sections(f"<main>{heading}text", "a.html") == [(("H",), "here", "text")]


def test_an_html_page_may_name_its_own_url() -> None:
    page = '<link rel="canonical" href="https://x.example/{}"><p>a'

    assert _read(page.format("a"), "a.html").url == "https://x.example/a"
    assert _read(page.replace("https:", "javascript:"), "a.html").url is None


@pytest.mark.parametrize(
    "meta",
    [b'<meta charset="iso-8859-1">', b'<META http-equiv=x content="text/html; charset=latin1">'],
)
def test_html_in_another_encoding_is_read_as_it_says(meta: bytes) -> None:
    parsed = read_document(meta + "<p>Größe".encode("latin-1"), "a.html")

    assert parsed.sections[-1].text == "Größe"


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html"])
def test_a_byte_order_mark_is_dropped(name: str) -> None:
    assert read_document(codecs.BOM_UTF8 + b"Hello", name).sections[0].text == "Hello"


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html"])
@pytest.mark.parametrize(
    "data", ["Größe".encode("latin-1"), "Hello".encode("utf-16"), b"\xed\xa0\x80"]
)
def test_text_that_is_not_utf8_is_refused_with_the_fix(name: str, data: bytes) -> None:
    assert "save it as UTF-8" in _refusal(data, name)


@pytest.mark.parametrize("charset", [b"utf-17", b"zlib", b"rot13", b"undefined"])
def test_an_unknown_encoding_is_refused(charset: bytes) -> None:
    assert "UTF-8" in _refusal(b"<meta charset=" + charset + b"><p>text", "a.html")


def test_characters_that_no_database_can_store_are_dropped() -> None:
    assert _sections("a\x00b\r\nc\rd\u2028e", "a.txt") == [((), "", "ab\nc\nd\ne")]


def test_each_page_of_a_pdf_is_a_section_under_its_outline() -> None:
    data = make_pdf(["One", "Two", "Three"], title="A guide", outline={"Start": 0, "End": 2})

    parsed = read_document(data, "a.pdf")

    assert parsed.title == "A guide"
    assert parsed.sections == [
        Section(("Start",), "page=1", "One"),
        Section(("Start",), "page=2", "Two"),
        Section(("End",), "page=3", "Three"),
    ]


def test_a_page_goes_on_under_the_last_heading_before_it() -> None:
    data = make_pdf(["One", "Two"], outline={"First": 0, "Second": 0})

    assert [section.headings for section in read_document(data, "a.pdf").sections] == [
        ("First",),
        ("Second",),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (make_pdf(["One"], password="secret"), "without a password"),
        (make_pdf(["", ""]), "OCR"),
        (make_pdf(["One"])[:200], "print it to a new PDF"),
        (b"%PDF-1.7 and nothing", "print it to a new PDF"),
        (b"", "print it to a new PDF"),
        (b"\x00" * 5000, "print it to a new PDF"),
    ],
)
def test_a_pdf_without_text_is_refused_with_the_fix(data: bytes, why: str) -> None:
    assert why in _refusal(data, "a.pdf")


def test_markdown_of_too_many_lines_is_refused_before_it_takes_the_memory() -> None:
    assert "split it" in _refusal(b"# a\nb\n" * 100_001, "a.md")


def test_rows_and_cells_need_not_be_closed_however_many_there_are() -> None:
    page = "<table>" + "<tr><td>a\n<td>b" * 5_000 + "</table>"

    assert _sections(page, "a.html") == [((), "", "\n".join(["a | b"] * 5_000))]


@pytest.mark.parametrize("blanks", [" " * 300_000, " \n" * 150_000, "\u3000" * 100_000 + "\n"])
def test_any_number_of_blanks_is_read(blanks: str) -> None:
    page = f"<main>a<pre>b{blanks}c</pre>d</main>"

    (section,) = read_document(page.encode(), "a.html").sections

    assert section.text.split() == ["a", "```", "b", "c", "```", "d"]
    assert "\n\n\n" not in section.text


HOSTILE = [
    b"",
    b"---",
    b"---\n---",
    b"#" * 50_000,
    b"# \n" * 2_000,
    b"> " * 50_000,
    b"- " * 50_000,
    b"[" * 50_000,
    b"`" * 50_000,
    b"# " + b"[" * 50_000,
    b"<div>" * 4_000,
    b"<table><tr><td>" * 1_000,
    b"<h1>" * 2_000,
    b"<!--",
    b"<![CDATA[",
    b"</main></body>" * 1_000,
    b"&#0;&#xD800;&#x110000;&nothing;" * 100,
]


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html", "a.pdf"])
@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:10]))
def test_hostile_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    try:
        parsed = read_document(data, name)
    except Unreadable:
        return
    assert parsed.title
    for section in parsed.sections:
        f"{section.headings} {section.text}".encode()
        assert "\x00" not in section.text


def test_suffixes_are_matched_in_any_case() -> None:
    for ending in READERS.keys() - {".pdf"}:
        assert read_document(b"text", f"A{ending.upper()}").title == "A"
