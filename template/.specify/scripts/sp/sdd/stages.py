"""Creates a feature's documents, each from its template once the one before is complete."""

import re
from pathlib import Path

from sdd.command import Refused
from sdd.documents import fill, slug, write_new
from sdd.numbering import next_number
from sdd.project import Project, numbered, today
from sdd.stage_checks import CHECKLIST, check, requirements_of

DOCUMENTS = ("spec", "plan", "tasks")
SMALL_WORDS = [
    "a",
    "add",
    "an",
    "and",
    "as",
    "by",
    "can",
    "for",
    "i",
    "in",
    "is",
    "it",
    "let",
    "of",
    "on",
    "or",
    "so",
    "that",
    "the",
    "to",
    "with",
]


def new_feature(project: Project, description: str, name: str | None) -> tuple[Path, bool]:
    """Create a feature's folder with its spec and checklist. Return whether it is new."""
    short = slug(name or _gist(description))
    with next_number(project.specs, lambda: numbered(iter(project.features()))) as number:
        for known in project.features():
            if known.name.partition("-")[2] == short:
                return known, False
        folder = project.specs / f"{number:03d}-{short}"
        values = _values(project, folder) | {"description": " ".join(description.split())}
        write_new(folder / CHECKLIST, fill(project.template("checklist"), values))
        write_new(folder / "spec.md", fill(project.template("spec"), values))
    return folder, True


def make(project: Project, feature: Path, stage: str) -> tuple[Path, bool]:
    """Create a stage's document unless it exists. Return whether it is new.

    Raises:
        Refused: the stage before is missing or not complete.
    """
    before = DOCUMENTS[DOCUMENTS.index(stage) - 1]
    problems = check(project, feature, before)
    if problems:
        more = f" ({len(problems) - 1} more: check.py {before})" if problems[1:] else ""
        raise Refused(f"complete {before}.md first: {problems[0]}{more}")
    path = feature / f"{stage}.md"
    if path.exists():
        return path, False
    write_new(path, fill(project.template(stage), _values(project, feature)))
    return path, True


def _gist(description: str) -> str:
    words = [word for word in slug(description).split("-") if word not in SMALL_WORDS]
    return " ".join(words[:4]) or description


def _values(project: Project, feature: Path) -> dict[str, str]:
    """Return the values that the scripts fill in. The author fills in the other places."""
    spec = feature / "spec.md"
    title = feature.name.partition("-")[2].replace("-", " ").capitalize()
    if spec.is_file() and (heading := re.match(r"# Spec: (.+)", spec.read_text(encoding="utf-8"))):
        title = heading[1]
    ids = requirements_of(feature)
    rows = [f"| {name} | [[how this plan keeps it]] |" for name in project.principles()]
    return {
        "title": title,
        "feature": feature.name,
        "date": today(),
        "principles": "\n".join(rows),
        "tests": _task_lines(ids, 1, "the test that fails without it, and its file"),
        "changes": _task_lines(ids, 1 + len(ids), "the change, and its file"),
        "gate": f"T{1 + 2 * len(ids):03d}",
    }


def _task_lines(ids: list[str], first: int, place: str) -> str:
    lines = (f"- [ ] T{number:03d} [{i}] [[{place}]]" for number, i in enumerate(ids, first))
    return "\n".join(lines)
