"""Which URLs a client may get."""

import pytest
from chatkit.types import URLSource
from chatkit.widgets import DynamicWidgetRoot

from chatkit_engine.security.outgoing_urls import with_safe_urls
from chatkit_engine.security.safe_urls import safe_url

SAFE = [
    "https://book.example/a?b=c&copy=1#d",
    "HTTP://book.example:8080",
    "https://bücher.example/größe",
    "https://[2001:db8::1]/",
    "mailto:ada@book.example?subject=Hi",
    "/courses/3?next=https://book.example",
    "lesson-2",
    "#part",
    "",
]
UNSAFE = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "java\u200bscript:alert(1)",
    "java\u00adscript:alert(1)",
    "javascript&colon;alert(1)",
    "java&#115;cript:alert(1)",
    "&#x6A;avascript:alert(1)",
    "java&Tab;script:alert(1)",
    "javascript://book.example/%0aalert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    "DATA:image/svg+xml;base64,PHN2Zz4=",
    "file:///etc/passwd",
    "blob:https://book.example/1",
    "filesystem:https://book.example/1",
    "view-source:https://book.example",
    "intent://book.example",
    "ftp://book.example",
    "about:blank",
    "//stranger.example",
    "/\\stranger.example",
    "\\\\stranger.example",
    "/\t/stranger.example",
    "https:stranger.example",
    "https:/stranger.example",
    "https:\\\\stranger.example",
    "https://book.example@stranger.example",
    "https://user:password@book.example",
    "https://book.example\\@stranger.example",
    "https://",
    "https:///path",
    "https://[::1",
    "https://book.example:port/",
    "https://book.example/a b",
    "https://book.example/\u202egnp.exe",
    "mailto:ada@book.example\r\nBcc: all@book.example",
]


@pytest.mark.parametrize("url", SAFE)
def test_a_url_of_the_web_and_of_the_site_is_safe(url: str) -> None:
    assert safe_url(url) == url


@pytest.mark.parametrize("url", UNSAFE)
def test_any_other_url_is_not(url: str) -> None:
    assert safe_url(url) is None


def test_a_widget_keeps_its_texts_and_loses_its_unsafe_urls() -> None:
    action = {"type": "open_url", "payload": {"url": "javascript:alert(1)", "target": "_blank"}}
    widget = DynamicWidgetRoot.model_validate(
        {
            "type": "Card",
            "status": {"text": "From the web", "favicon": "data:text/html,x"},
            "children": [
                {"type": "Image", "src": "file:///etc/passwd", "alt": "A picture"},
                {"type": "Image", "src": "https://book.example/a.png"},
                {"type": "Text", "value": "javascript: the good parts"},
                {"type": "Button", "label": "Open", "onClickAction": action},
            ],
        }
    )

    shown = with_safe_urls(widget).model_dump(exclude_none=True)

    bad, good, text, button = shown["children"]
    assert (bad["src"], bad["alt"]) == ("", "A picture")
    assert good["src"] == "https://book.example/a.png"
    assert text["value"] == "javascript: the good parts"
    assert button["onClickAction"]["payload"] == {"url": "", "target": "_blank"}
    assert shown["status"] == {"text": "From the web", "favicon": ""}
    assert "javascript:alert(1)" in widget.model_dump_json()


@pytest.mark.parametrize(
    ("data", "safe"),
    [
        ({"linkUrl": "data:,x"}, {"linkUrl": ""}),
        ({"hrefs": ["https://a.example", "//b.example"]}, {"hrefs": ["https://a.example", ""]}),
        ({"to": " java\nscript:alert(1)"}, {"to": ""}),
        ({"a": [{"b": {"image_uri": "vbscript:x"}}]}, {"a": [{"b": {"image_uri": ""}}]}),
        ({"note": "data: 5 apples", "path": "/a"}, {"note": "data: 5 apples", "path": "/a"}),
    ],
)
def test_data_for_the_front_end_loses_its_unsafe_urls(data: object, safe: object) -> None:
    assert with_safe_urls(data) == safe


def test_an_unsafe_source_is_dropped_from_a_list() -> None:
    sources = [URLSource(title="A", url="https://a.example"), URLSource(title="B", url="file:b")]

    assert with_safe_urls({"sources": sources}) == {"sources": sources[:1]}
