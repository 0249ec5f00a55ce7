"""Checks the text of a Prompt History Record."""

import re
from collections.abc import Iterator
from pathlib import Path

from sdd import documents
from sdd.command import Refused
from sdd.documents import Problem
from sdd.leaks import leaks
from sdd.project import Project
from sdd.routing import STAGES, folder_of

NAME = re.compile(r"(?P<id>\d{4})-[a-z0-9-]+\.(?P<stage>[a-z]+)\.prompt\.md")
REQUIRED = ("title", "date", "surface", "model", "user", "branch")


def check_record(project: Project, path: Path, text: str) -> list[Problem]:
    """Return the problems of a record's text."""
    shown = project.shown(path)
    found = documents.open_places(shown, text)
    found += documents.missing_sections(shown, text, project.template("phr"))
    found += [Problem(shown, leak.line, f"this looks like {leak.kind}") for leak in leaks(text)]
    found += [Problem(shown, 0, message) for message in _wrong_fields(project, path, text)]
    return found


def _wrong_fields(project: Project, path: Path, text: str) -> Iterator[str]:
    values = documents.fields(text)
    wanted = documents.fields(project.template("phr"))
    yield from (f"the field '{name}' is missing" for name in wanted if name not in values)
    named = NAME.fullmatch(path.name)
    if not named:
        yield "the name should be NNNN-slug.STAGE.prompt.md"
        return
    if named["id"] != values.get("id"):
        yield f"the id should be {named['id']}, as in the file's name"
    if named["stage"] != values.get("stage"):
        yield f"the stage should be {named['stage']}, as in the file's name"
    if named["stage"] not in STAGES:
        yield f"the stage should be one of {', '.join(STAGES)}"
    elif path.parent.name != _folder(named["stage"], values.get("feature")):
        yield f"a record of the stage {named['stage']} belongs in another folder"
    yield from (f"the field '{name}' is empty" for name in REQUIRED if not values.get(name))
    yield from broken_links(project, values.get("links"))


def broken_links(project: Project, links: object) -> Iterator[str]:
    """Report links to paths that do not exist. URLs and ticket numbers are not checked."""
    if not isinstance(links, dict):
        yield 'the links should be an object, such as {"spec": null}'
        return
    for name, target in links.items():  # pyright: ignore[reportUnknownVariableType]
        is_path = isinstance(target, str) and target.endswith(".md") and "://" not in target
        if is_path and not (project.root / str(target)).is_file():  # pyright: ignore[reportUnknownArgumentType]
            yield f"the link '{name}' leads to {target}, which does not exist"


def _folder(stage: str, feature: object) -> str | None:
    try:
        return folder_of(stage, feature if isinstance(feature, str) else None)
    except Refused:
        return None
