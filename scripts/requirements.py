"""Counts what the requirement documents ask for against the entries of docs/requirements.md.

    python scripts/requirements.py FOLDER

FOLDER has the documents. Counted are bullets, numbered items, checkboxes and table rows outside of
fenced blocks, and each fenced block as one. Exits with 1 when a line has no entry, or an entry no
line.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs" / "requirements.md"
KINDS = {
    "checkbox": re.compile(r"\s*(?:[-*•]|\d+\.) \[.\] "),
    "bullet": re.compile(r"\s*[-*•] "),
    "numbered": re.compile(r"\s*\d+\. "),
    "row": re.compile(r"\s*\|"),
}
RULE = re.compile(r"\s*\|[-:| ]+$")
HEADING = re.compile(r"^## \d+\. `([^`]+)`", re.MULTILINE)
ENTRY = re.compile(r"^\| (\d+):(\d+) \|(.*)\|$", re.MULTILINE)
CELLS = re.compile(r"(?<!\\)\|")


class Asked(NamedTuple):
    """A line of a document that asks for something, counted from 1."""

    line: int
    kind: str


class Entry(NamedTuple):
    """A row of the page: a document's number and line, what is asked for, where, and its test."""

    document: int
    line: int
    asked_for: str
    where: str
    test: str


def asked_in(document: str) -> Iterator[Asked]:
    lines = [*document.splitlines(), ""]
    is_fenced = False
    for number, (line, following) in enumerate(pairwise(lines), 1):
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
            if is_fenced:
                yield Asked(number, "block")
        elif not is_fenced and (kind := _kind(line, following)):
            yield Asked(number, kind)


def _kind(line: str, following: str) -> str | None:
    """Return what the line is; a table's head and the rule below it ask for nothing."""
    kind = next((name for name, pattern in KINDS.items() if pattern.match(line)), None)
    is_head = RULE.match(line) or RULE.match(following)
    return None if kind == "row" and is_head else kind


def documents_of(page: str) -> list[str]:
    """Return the documents' file names, in the order of their numbers."""
    return HEADING.findall(page)


def entries_of(page: str) -> list[Entry]:
    return [
        Entry(int(document), int(line), *(cell.strip() for cell in CELLS.split(cells)))
        for document, line, cells in ENTRY.findall(page)
    ]


def compare(folder: Path, page: str) -> Iterator[tuple[str, str, list[str]]]:
    """Return each document's name, what it asks for, and which lines differ from the entries."""
    entries = entries_of(page)
    for number, name in enumerate(documents_of(page), 1):
        asked = list(asked_in((folder / name).read_text()))
        lines = Counter(each.line for each in asked)
        mapped = Counter(entry.line for entry in entries if entry.document == number)
        left_out = [f"{number}:{line} has no entry" for line in sorted((lines - mapped).elements())]
        too_many = [f"{number}:{line} asks for nothing" for line in (mapped - lines).elements()]
        kinds = Counter(each.kind for each in asked)
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        yield (
            name,
            f"{len(asked)} asked for ({told}), {mapped.total()} entries",
            left_out + too_many,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the requirement documents")
    folder = parser.parse_args().folder
    page = PAGE.read_text()
    unknown = {path.name for path in folder.glob("*.txt")} - set(documents_of(page))
    problems = [f"{name} is not in {PAGE.name}" for name in sorted(unknown)]
    for name, told, differing in compare(folder, page):
        print(f"{name}: {told}")
        problems += differing
    print("\n".join(problems) or "none is left out")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
