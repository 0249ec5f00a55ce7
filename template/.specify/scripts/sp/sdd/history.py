"""Checks a whole history: each record, and the references between them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sdd.decision_checks import check_decision
from sdd.documents import Problem, fields
from sdd.project import Project, numbered
from sdd.record_checks import check_record


def check_history(project: Project) -> tuple[int, list[Problem]]:
    """Return the number of records, and all their problems."""
    prompts = sorted(path for path in project.prompts.rglob("*.md"))
    decisions = sorted(project.decisions.glob("*.md"))
    found: list[Problem] = []
    for path in prompts:
        found += check_record(project, path, path.read_text(encoding="utf-8"))
    for path in decisions:
        found += check_decision(project, path, path.read_text(encoding="utf-8"))
    found += _numbering(project, "history/prompts", prompts)
    found += _numbering(project, "history/adr", decisions)
    found += _successions(project, decisions)
    return len(prompts) + len(decisions), sorted(found)


def _numbering(project: Project, folder: str, paths: Iterable[Path]) -> Iterator[Problem]:
    paths = list(paths)
    counted = Counter(numbered(iter(paths)))
    for path in paths:
        number = re.match(r"(\d+)-", path.name)
        if number and counted[int(number[1])] > 1:
            yield Problem(project.shown(path), 0, f"another record has the number {number[1]}")
    for missing in sorted(set(range(1, max(counted, default=0) + 1)) - counted.keys()):
        yield Problem(folder, 0, f"record {missing:04d} is missing: renumber the later ones")


def _successions(project: Project, paths: Iterable[Path]) -> Iterator[Problem]:
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in paths:
        values = fields(path.read_text(encoding="utf-8"))
        known[str(values.get("id"))] = project.shown(path), values
    for number, (shown, values) in known.items():
        for here, there in (("supersedes", "superseded_by"), ("superseded_by", "supersedes")):
            other = values.get(here)
            if other and known.get(str(other), ("", {}))[1].get(there) != number:
                yield Problem(shown, 0, f"'{here}' names {other}, whose '{there}' does not name it")
