"""The map of what the project was asked for: each entry names what is there, or says why not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.requirements import PAGE, Entry, asked_in, compare, documents_of, entries_of
from tests.texts import ROOT, TEMPLATE

SUITES = ("tests/", "engine/tests/")
ENTRIES = entries_of(PAGE.read_text())
SPAN = re.compile(r"`([^`]+)`")
MARK = re.compile(r"\*\*(?:refused|planned)\*\*: \w+ .*")
DOCUMENT = """\
| what | how |
|---|---|
| a | b |

- one
  * two
1. three
- [ ] four

```text
- not counted
```
"""
MAP = """\
## 1. `asked.txt`

| line | asked for | where it is | what tests it |
|---:|---|---|---|
"""


def _is_there(reference: str) -> bool:
    """Say whether a path is there, with the heading or the test that is named behind it."""
    path, _, heading = reference.partition("#")
    path, _, test = path.partition("::")
    places = [folder / name for folder in (TEMPLATE, ROOT) for name in (path, f"{path}.jinja")]
    found = [place for place in places if place.exists()]
    wanted = rf"^#+ {re.escape(heading)}$" if heading else rf"def {re.escape(test)}\("
    if not heading and not test:
        return bool(found)
    return any(re.search(wanted, place.read_text(), re.MULTILINE) for place in found)


def describe_problems(entry: Entry) -> list[str]:
    where, tests = SPAN.findall(entry.where), SPAN.findall(entry.test)
    if not entry.asked_for:
        return ["says nothing"]
    if MARK.fullmatch(entry.test):
        return [f"{path} is not there" for path in where if not _is_there(path)]
    if not where or not tests or not all(test.startswith(SUITES) for test in tests):
        return ["needs a path and a test, or a mark with its reason"]
    return [f"{path} is not there" for path in [*where, *tests] if not _is_there(path)]


@pytest.mark.parametrize("entry", [pytest.param(e, id=f"{e.document}:{e.line}") for e in ENTRIES])
def test_an_entry_names_what_is_there_or_says_why_not(entry: Entry) -> None:
    assert describe_problems(entry) == []


@pytest.mark.parametrize(
    ("where", "test"),
    [
        ("`app/main.py`", ""),
        ("", "`tests/test_texts.py`"),
        ("`app/none.py`", "`tests/test_texts.py`"),
        ("`app/main.py`", "`tests/none.py`"),
        ("`app/main.py`", "`tests/test_texts.py::test_none`"),
        ("`AGENTS.md#No such heading`", "`tests/test_texts.py`"),
        ("`app/main.py`", "`app/main.py`"),
        ("—", "**planned**"),
        ("—", "**refused**: "),
        ("`app/none.py`", "**refused**: it is wrong"),
    ],
)
def test_an_entry_without_a_path_and_a_test_or_a_reason_is_found(where: str, test: str) -> None:
    assert describe_problems(Entry(1, 1, "Something", where, test))


def test_each_document_has_entries() -> None:
    documents = range(1, len(documents_of(PAGE.read_text())) + 1)

    assert len(documents) == 5
    assert {entry.document for entry in ENTRIES} == set(documents)


def test_bullets_items_boxes_rows_and_blocks_are_counted() -> None:
    kinds = {asked.line: asked.kind for asked in asked_in(DOCUMENT)}

    assert kinds == {
        3: "row", 5: "bullet", 6: "bullet", 7: "numbered", 8: "checkbox", 10: "block"
    }  # fmt: skip


def test_a_line_without_an_entry_and_an_entry_without_a_line_are_named(tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text(DOCUMENT)
    rows = "".join(f"| 1:{line} | x | y | z |\n" for line in (3, 5, 6, 7, 9, 10))

    ((_, _, differing),) = compare(tmp_path, MAP + rows)

    assert differing == ["1:8 has no entry", "1:9 asks for nothing"]


def test_a_document_that_the_map_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "another.txt").write_text(DOCUMENT)
    for name in documents_of(PAGE.read_text()):
        (tmp_path / name).write_text("")
    command = [sys.executable, str(ROOT / "scripts" / "requirements.py"), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "another.txt is not in requirements.md" in done.stdout
