"""Patterns of texts that are refused. They match in linear time, whatever text a stranger chose.

The syntax is RE2's (https://github.com/google/re2/wiki/Syntax): regular expressions without
look-around and back-references. Case is ignored.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import re2

# The package has no types.
RE2: Any = re2
# RE2 knows these of ASCII only. In Python they mean letters, digits and blanks of every script.
WORD = r"\pL\pM\pN_"
UNICODE = {r"\w": WORD, r"\d": r"\p{Nd}", r"\s": r"\s\v\pZ"}
NEGATED = {negated: UNICODE[negated.lower()] for negated in (r"\W", r"\D", r"\S")}
# Linear time has a factor: the size. A pattern of e-mail addresses has 40.
MAX_SIZE = 2_000
CLASS = r"\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]"
PART = re.compile(r"\\[pP]\{[^}]*\}|\\.|" + CLASS + "|.", re.DOTALL)
BORDER_BEFORE, BORDER_AFTER = rf"(?:^|[^{WORD}])", rf"(?:$|[^{WORD}])"


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says whether one of the patterns matches somewhere in a text.

    Raises:
        ValueError: a pattern is not valid. The message names it, and why.
    """
    compiled = [_compile(pattern) for pattern in patterns]

    def matches(text: str) -> bool:
        # RE2 reads UTF-8, in which lone surrogates cannot be written.
        readable = text.encode(errors="replace").decode()
        return any(each.search(readable) is not None for each in compiled)

    return matches


def _compile(pattern: str) -> Any:
    options = RE2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        # The size as it is written, because a class of every script is large but fast.
        size = RE2.compile(pattern, options=options).programsize
        compiled = RE2.compile(_for_every_script(pattern), options=options)
    except RE2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise ValueError(
            f"{pattern!r} is not a pattern of RE2, which has no look-around and no "
            f"back-references: {reason}"
        ) from None
    if size > MAX_SIZE:
        raise ValueError(f"{pattern!r} is too large for RE2: it repeats what is repeated")
    return compiled


def _for_every_script(pattern: str) -> str:
    r"""Return the pattern with `\w`, `\d`, `\s` and the `\b` at its edges as Python reads them."""
    parts = PART.findall(pattern)
    neighbours = zip(["", *parts], parts, [*parts[1:], ""], strict=False)
    return "".join(_translate(*each) for each in neighbours)


def _translate(before: str, part: str, after: str) -> str:
    if part == r"\b" and before in {"", "(", "|", ":"}:
        return BORDER_BEFORE
    if part == r"\b" and after in {"", ")", "|"}:
        return BORDER_AFTER
    if part == r"\b" and not (before + after).isascii():
        raise RE2.error(rb"its \b knows ASCII only, except at the beginning and the end")
    if part.startswith("["):
        return re.sub(r"\\.", lambda found: UNICODE.get(found[0], found[0]), part)
    if part in UNICODE:
        return f"[{UNICODE[part]}]"
    return f"[^{NEGATED[part]}]" if part in NEGATED else part
