"""Checks whether the documents of a feature are complete."""

import re
from pathlib import Path

from sdd.documents import Problem, missing_sections, open_places, prose
from sdd.project import Project

CHECKLIST = "checklists/requirements.md"
REQUIREMENT = re.compile(r"^- \*\*(FR-\d{3})\*\*", re.MULTILINE)
TASK = re.compile(r"^- \[[ xX]\] (.*)$", re.MULTILINE)
TASK_ID = re.compile(r"T(\d{3})\b")
PLACES = re.compile(r"`([^`\s]*[/.][^`\s]*|uv run [^`]+)`")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+")


def check(project: Project, feature: Path, stage: str) -> list[Problem]:
    """Return what a stage lacks. The stage `implement` is `tasks` with every task done."""
    document = "tasks" if stage == "implement" else stage
    path = feature / f"{document}.md"
    shown = project.shown(path)
    if not path.is_file():
        return [Problem(shown, 0, "the document is missing")]
    text = path.read_text(encoding="utf-8")
    found = open_places(shown, text) + missing_sections(shown, text, project.template(document))
    if stage == "spec":
        found += _requirements(shown, text) + _checklist(project, feature)
    elif stage == "plan":
        found += _principles(project, shown, text)
    else:
        found += _tasks(shown, text, requirements_of(feature))
    if stage == "implement":
        found += _done(project, shown, text)
    return sorted(found)


def requirements_of(feature: Path) -> list[str]:
    """Return the numbers of the requirements in a feature's spec."""
    spec = feature / "spec.md"
    return REQUIREMENT.findall(spec.read_text(encoding="utf-8")) if spec.is_file() else []


def _requirements(shown: str, text: str) -> list[Problem]:
    ids = REQUIREMENT.findall(text)
    wanted = [f"FR-{number:03d}" for number in range(1, len(ids) + 1)]
    if ids and ids == wanted:
        return []
    return [Problem(shown, 0, "number the requirements '- **FR-001** ...' upwards without a gap")]


def _checklist(project: Project, feature: Path) -> list[Problem]:
    path = feature / CHECKLIST
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return _unticked(project.shown(path), text, "answer this point and tick it")


def _principles(project: Project, shown: str, text: str) -> list[Problem]:
    return [
        Problem(shown, 0, f"say how the plan keeps the principle '{name}'")
        for name in project.principles()
        if f"| {name} |" not in text
    ]


def _tasks(shown: str, text: str, requirements: list[str]) -> list[Problem]:
    found: list[Problem] = []
    for count, task in enumerate(TASK.finditer(text), start=1):
        line = text.count("\n", 0, task.start()) + 1
        number = TASK_ID.match(task[1])
        if not number or int(number[1]) != count:
            found.append(Problem(shown, line, f"this task's number should be T{count:03d}"))
        if "[[" not in task[1] and not PLACES.search(task[1]):
            found.append(Problem(shown, line, "name the file or the command in `backticks`"))
    if not TASK.search(text):
        found.append(Problem(shown, 0, "there is no task: write '- [ ] T001 [FR-001] ...'"))
    covered = {name for task in TASK.finditer(text) for name in re.findall(r"FR-\d{3}", task[1])}
    found += [
        Problem(shown, 0, f"no task covers {name}") for name in requirements if name not in covered
    ]
    return found


def _done(project: Project, shown: str, text: str) -> list[Problem]:
    found = _unticked(shown, text, "do this task and tick it")
    for task in TASK.finditer(text):
        line = text.count("\n", 0, task.start()) + 1
        for place in PLACES.findall(task[1]):
            if PATH.fullmatch(place) and not (project.root / place).exists():
                found.append(Problem(shown, line, f"{place} does not exist"))
    return found


def _unticked(shown: str, text: str, message: str) -> list[Problem]:
    lines = enumerate(prose(text).split("\n"), start=1)
    return [Problem(shown, number, message) for number, line in lines if line.startswith("- [ ]")]
