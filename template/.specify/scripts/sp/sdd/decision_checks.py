"""Checks the text of an Architecture Decision Record."""

import re
from collections.abc import Iterator
from pathlib import Path

from sdd import documents
from sdd.documents import Problem
from sdd.leaks import leaks
from sdd.project import Project
from sdd.record_checks import broken_links
from sdd.significance import PARTS

STATUSES = ("proposed", "accepted", "superseded")
REQUIRED = ("title", "date", "agreed_by")
NAME = re.compile(r"(?P<id>\d{4})-[a-z0-9-]+\.md")
MIN_OPTIONS = 2


def check_decision(project: Project, path: Path, text: str) -> list[Problem]:
    """Return the problems of a record's text."""
    shown = project.shown(path)
    found = documents.open_places(shown, text)
    found += documents.missing_sections(shown, text, project.template("adr"))
    found += [Problem(shown, leak.line, f"this looks like {leak.kind}") for leak in leaks(text)]
    found += [Problem(shown, 0, message) for message in _wrong_fields(project, path, text)]
    return found


def _wrong_fields(project: Project, path: Path, text: str) -> Iterator[str]:
    values = documents.fields(text)
    wanted = documents.fields(project.template("adr"))
    yield from (f"the field '{name}' is missing" for name in wanted if name not in values)
    named = NAME.fullmatch(path.name)
    if not named:
        yield "the name should be NNNN-title.md"
    elif named["id"] != values.get("id"):
        yield f"the id should be {named['id']}, as in the file's name"
    if values.get("status") not in STATUSES:
        yield f"the status should be one of {', '.join(STATUSES)}"
    if (values.get("status") == "superseded") != bool(values.get("superseded_by")):
        yield "a superseded ADR, and no other, needs the new ADR's number in 'superseded_by'"
    yield from (f"the field '{name}' is empty" for name in REQUIRED if not values.get(name))
    parts = documents.sections(text)
    if len(re.findall(r"^- \*\*", parts.get("Options", ""), re.MULTILINE)) < MIN_OPTIONS:
        yield "the section 'Options' needs at least two options, as '- **Name**: ...'"
    for part in PARTS:
        if not re.search(rf"^- {part}: yes\b", parts.get("Significance", ""), re.MULTILINE):
            yield f"the section 'Significance' does not say '- {part}: yes'"
    yield from broken_links(project, values.get("links"))
