"""Blocked patterns match in linear time and in every script; others are refused at start."""

import pytest

from chatkit_engine.settings.patterns import matcher

ADDRESS = r"([a-z0-9_.+-]+)+@([a-z0-9-]+\.)+[a-z]{2,}"


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        # Each of these would keep Python's own engine busy for seconds, or for ever.
        (ADDRESS, "a" * 100_000, False),
        (ADDRESS, "a" * 100_000 + " ada@example.com", True),
        (ADDRESS, "a@" * 50_000, False),
        (r"(a|aa)+$", "a" * 100_000 + "!", False),
        (r"(\s*\s*)*secret", " " * 100_000 + "SECRET", True),
        (r"(x+x+)+y", "x" * 100_000 + "z", False),
        (r"\b(\w+\W*)+\d$", "wort " * 20_000, False),
    ],
)
def test_a_costly_pattern_decides_about_a_long_text(pattern: str, text: str, matches: bool) -> None:
    assert matcher([pattern])(text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\bcafé\b", "Wo ist das Café?", True),
        (r"\bcafé\b", "Cafés", False),
        (r"\bpin\b", "mein Pin", True),
        (r"\bpin\b", "spinne", False),
        (r"(?:\bключ|\bпароль\b)", "Мой ПАРОЛЬ", True),
        (r"\bпароль\b", "пароли", False),
        (r"密码", "我的密码是", True),
        (r"^\w+$", "größer", True),
        (r"^[\w-]+$", "größer-als", True),
        (r"^\d+$", "١٢٣", True),
        (r"a\sb", "a\u00a0b", True),
        (r"^\W+$", "größe", False),
        (r"[^\w]ß", "aß", False),
        (r"[]\d]x", "]x", True),
        (r"a|b", "xbx", True),
        (r"\bfoo\b.*\bbar\b", "foo and bar", True),
        (r"b", "\ud800b", True),
    ],
)
def test_letters_digits_and_borders_are_those_of_every_script(
    pattern: str, text: str, matches: bool
) -> None:
    assert matcher(["never", pattern])(text) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=x)x",
        r"(?<!a)b",
        r"(a)\1",
        "(",
        "[a",
        r"a{5000}",
        "*a",
        r"(.{1,50}){1,20}@",
        r"nicht \bübel\b",
    ],
)
def test_a_pattern_that_the_engine_refuses_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"RE2.*: .") as caught:
        matcher(["fine", pattern])

    assert repr(pattern) in str(caught.value)
