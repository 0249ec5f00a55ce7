"""Markdown documents: fields at the top, sections, and places to fill in.

A field's value is JSON, which is also YAML. A place to fill in is written `[[like this]]`.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACE = re.compile(r"\[\[(.+?)\]\]")
QUESTION = re.compile(r"\[NEEDS CLARIFICATION\b.*")
FENCE = re.compile(r"\s*(`{3,}|~{3,})")
INLINE_CODE = re.compile(r"`[^`\n]+`")
MAX_SLUG = 48


@dataclass(frozen=True, order=True)
class Problem:
    """A problem in a document, with its line. Line 0 means the whole document."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.line}: {self.message}"
            if self.line
            else f"{self.path}: {self.message}"
        )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill in the places that have a value. Places inside a value are left alone."""
    return PLACE.sub(lambda place: values.get(place[1], place[0]), template)


def prose(text: str) -> str:
    """Return the text with its code blanked out. Line numbers stay the same."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        marker = FENCE.match(line)
        was_inside = bool(fence)
        if marker and not fence:
            fence = marker[1]
        elif marker and marker[1].startswith(fence) and line.strip() == marker[1]:
            fence = ""
        lines.append("" if was_inside or fence else INLINE_CODE.sub("`code`", line))
    return "\n".join(lines)


def fields(text: str) -> dict[str, Any]:
    """Return the fields at the top; a value that is not JSON stays a text."""
    start, mark, rest = text.partition("---\n")
    if start or not mark:
        return {}
    lines = rest.partition("\n---\n")[0].split("\n")
    pairs = (line.partition(": ") for line in lines if ": " in line)
    return {name: _value(value) for name, _, value in pairs}


def with_field(text: str, name: str, value: object) -> str:
    """Return the text with a new value for an existing field."""
    line = f"{name}: {json.dumps(value, ensure_ascii=False)}"
    return re.sub(rf"^{name}: .*$", lambda _: line, text, count=1, flags=re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Return the text below each second-level heading, without code."""
    parts = re.split(r"^## +(.+?) *$", prose(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def open_places(path: str, text: str) -> list[Problem]:
    """Find places that are not filled in, and questions that are open."""
    found: list[Problem] = []
    for number, line in enumerate(prose(text).split("\n"), start=1):
        found += [Problem(path, number, f"fill in {place[0]}") for place in PLACE.finditer(line)]
        found += [Problem(path, number, f"answer {q[0]}") for q in QUESTION.finditer(line)]
    return found


def missing_sections(path: str, text: str, template: str) -> list[Problem]:
    """Find the template's sections that the text lacks or leaves empty."""
    present = sections(text)
    found: list[Problem] = []
    for heading in sections(template):
        if heading not in present:
            found.append(Problem(path, 0, f"the section '{heading}' is missing"))
        elif not _has_content(text, heading):
            found.append(Problem(path, 0, f"the section '{heading}' is empty: say 'None', and why"))
    return found


def slug(text: str) -> str:
    """Return a file name: words of plain letters and digits, joined with hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    while len("-".join(words)) > MAX_SLUG and len(words) > 1:
        words.pop()
    return "-".join(words)[:MAX_SLUG] or "unnamed"


def write_new(path: Path, text: str) -> None:
    """Write a file. It must not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _has_content(text: str, heading: str) -> bool:
    below = re.split(rf"^## +{re.escape(heading)} *$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    return bool(re.split(r"^## ", below, maxsplit=1, flags=re.MULTILINE)[0].strip())
