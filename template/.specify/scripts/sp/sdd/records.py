"""Prompt History Records: their contents, and how they are written."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from sdd.command import Refused
from sdd.documents import fill, slug, write_new
from sdd.leaks import leaks, redacted
from sdd.numbering import next_number
from sdd.project import Project, numbered, today
from sdd.record_checks import check_record
from sdd.routing import folder_of

LINKS = ("spec", "ticket", "adr", "pr")
HEAD = ("title", "stage", "surface", "model", "feature", "branch", "user", "command", "labels")
HEAD += ("files", "tests")
BODY = ("response", "outcome", "evaluation", "next")


@dataclass(frozen=True)
class Record:
    """The record of a prompt. Empty text is written as 'None'."""

    stage: str
    title: str
    prompt: str
    response: str
    outcome: str
    surface: str = "agent"
    model: str = "unknown"
    feature: str | None = None
    branch: str = ""
    user: str = ""
    command: str = ""
    evaluation: str = ""
    next: str = ""
    labels: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    links: dict[str, str | None] = field(default_factory=dict[str, str | None])


def write_record(project: Project, record: Record) -> Path:
    """Write a record under the next number.

    Raises:
        Refused: it has what looks like a secret, or lacks what a record must have.
    """
    _refuse_leaks(record)
    folder = project.prompts / folder_of(record.stage, record.feature)
    with next_number(project.prompts, lambda: numbers(project)) as number:
        name = f"{number:04d}-{slug(record.title)}.{record.stage}.prompt.md"
        text = fill(project.template("phr"), _values(record, f"{number:04d}"))
        if problems := check_record(project, folder / name, text):
            raise Refused(f"the record would be incomplete: {problems[0].message}")
        write_new(folder / name, text)
    return folder / name


def without_secrets(record: Record) -> Record:
    """Return the record without anything that looks like a secret."""
    texts = {name: redacted(value) for name, value in _texts(record) if isinstance(value, str)}
    lists = {
        name: tuple(redacted(text) for text in getattr(record, name))
        for name in ("labels", "files", "tests")
    }
    links = {name: value and redacted(value) for name, value in record.links.items()}
    return replace(record, **texts, **lists, links=links)


def numbers(project: Project) -> Iterator[int]:
    return numbered(project.prompts.rglob("*.prompt.md"))


def _values(record: Record, number: str) -> dict[str, str]:
    own = {name: getattr(record, name) for name in HEAD}
    own |= {"id": number, "date": today(), "links": dict.fromkeys(LINKS) | record.links}
    texts = {name: getattr(record, name).strip() or "None." for name in BODY}
    heads = {name: json.dumps(value, ensure_ascii=False) for name, value in own.items()}
    return heads | texts | {"prompt": _fenced(record.prompt), "heading": record.title}


def _fenced(prompt: str) -> str:
    """Return the unchanged prompt in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", prompt)), default=2)
    fence = "`" * (longest + 1)
    end = "" if prompt.endswith("\n") else "\n"
    return f"{fence}text\n{prompt}{end}{fence}"


def _refuse_leaks(record: Record) -> None:
    for name, value in _texts(record):
        for leak in leaks(value if isinstance(value, str) else json.dumps(value)):
            raise Refused(
                f"{name}, line {leak.line}: this looks like {leak.kind}. Remove it or use --redact."
            )


def _texts(record: Record) -> Iterator[tuple[str, object]]:
    for part in fields(record):
        if value := getattr(record, part.name):
            yield part.name, value
