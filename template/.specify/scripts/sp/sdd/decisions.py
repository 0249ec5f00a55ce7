"""Architecture Decision Records: their contents, and how they are written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sdd.command import Refused
from sdd.decision_checks import check_decision
from sdd.documents import fill, slug, with_field, write_new
from sdd.numbering import next_number
from sdd.project import Project, numbered, today
from sdd.significance import Verdict, significance


@dataclass(frozen=True)
class Option:
    """An option that was considered, with the reasons for and against it."""

    name: str
    pro: str
    con: str


@dataclass(frozen=True)
class Decision:
    """A decision. `agreed_by` is the person who agreed to the record."""

    title: str
    context: str
    significance: dict[str, str]
    options: tuple[Option, ...]
    decision: str
    consequences: str
    agreed_by: str
    status: str = "accepted"
    feature: str | None = None
    supersedes: str | None = None
    links: dict[str, str | None] = field(default_factory=dict[str, str | None])


def write_decision(project: Project, decision: Decision) -> Path:
    """Write a record under the next number, and mark the record that it supersedes.

    Raises:
        Refused: the three-part test fails, or the record would be incomplete.
    """
    verdict = significance(decision.significance)
    if not verdict.significant:
        raise Refused(f"this decision needs no record. {'; '.join(verdict.reasons.values())}")
    old = find(project, decision.supersedes) if decision.supersedes else None
    with next_number(project.decisions, lambda: numbers(project)) as number:
        path = project.decisions / f"{number:04d}-{slug(decision.title)}.md"
        text = fill(project.template("adr"), _values(decision, verdict, f"{number:04d}"))
        if problems := check_decision(project, path, text):
            raise Refused(f"the record would be incomplete: {problems[0].message}")
        write_new(path, text)
        if old:
            _supersede(old, f"{number:04d}")
    return path


def find(project: Project, number: str) -> Path:
    for path in sorted(project.decisions.glob(f"{number}-*.md")):
        return path
    raise Refused(f"there is no ADR {number} in {project.shown(project.decisions)}")


def numbers(project: Project) -> Iterator[int]:
    return numbered(project.decisions.glob("*.md"))


def _values(decision: Decision, verdict: Verdict, number: str) -> dict[str, str]:
    fields = {
        "id": number,
        "title": decision.title,
        "status": decision.status,
        "date": today(),
        "feature": decision.feature,
        "agreed_by": decision.agreed_by,
        "supersedes": decision.supersedes,
        "superseded_by": None,
        "links": decision.links,
    }
    options = (f"- **{o.name}**: for it, {o.pro}; against it, {o.con}." for o in decision.options)
    heads = {name: json.dumps(value, ensure_ascii=False) for name, value in fields.items()}
    return heads | {
        "heading": decision.title,
        "context": decision.context.strip(),
        "significance": "\n".join(f"- {part}: {why}" for part, why in verdict.reasons.items()),
        "options": "\n".join(options),
        "decision": decision.decision.strip(),
        "consequences": decision.consequences.strip(),
    }


def _supersede(path: Path, by: str) -> None:
    text = path.read_text(encoding="utf-8")
    text = with_field(with_field(text, "status", "superseded"), "superseded_by", by)
    path.write_text(text, encoding="utf-8", newline="\n")
