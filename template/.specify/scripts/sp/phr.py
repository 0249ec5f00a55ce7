"""Writes a Prompt History Record: what was asked, the outcome, and the feature it belongs to."""

import argparse
import getpass

from sdd.command import Answer, Parser, Refused, run, text_of
from sdd.documents import fields
from sdd.project import Project
from sdd.records import LINKS, Record, without_secrets, write_record
from sdd.routing import FEATURE_STAGES, STAGES

TEXT = "a text, @FILE, or - for stdin"


def _work(arguments: argparse.Namespace) -> Answer:
    if [arguments.prompt, arguments.response].count("-") > 1:
        raise Refused("only one text can come from stdin: pass the other as @FILE")
    project = Project(arguments.root.absolute())
    record = _record(project, arguments)
    path = write_record(project, without_secrets(record) if arguments.redact else record)
    shown = project.shown(path)
    number = fields(path.read_text(encoding="utf-8"))["id"]
    return {"id": number, "path": shown, "stage": record.stage, "text": f"recorded {shown}"}


def _record(project: Project, arguments: argparse.Namespace) -> Record:
    links = {name: getattr(arguments, name) for name in LINKS}
    feature = None
    if arguments.feature or arguments.stage in FEATURE_STAGES:
        folder = project.feature(arguments.feature)
        feature = folder.name
        links["spec"] = links["spec"] or project.shown(folder / "spec.md")
    return Record(
        stage=arguments.stage,
        title=arguments.title,
        prompt=text_of(arguments.prompt),
        response=text_of(arguments.response),
        outcome=text_of(arguments.outcome),
        evaluation=text_of(arguments.evaluation),
        next=text_of(arguments.next),
        surface=arguments.surface,
        model=arguments.model,
        feature=feature,
        branch=arguments.branch or project.git("branch", "--show-current") or "none",
        user=arguments.user or project.git("config", "user.name") or getpass.getuser(),
        command=arguments.command,
        labels=tuple(arguments.label),
        files=tuple(arguments.file or project.changed_files()),
        tests=tuple(arguments.test),
        links=links,
    )


def _parser() -> Parser:
    parser = Parser(__doc__ or "")
    parser.add_argument("--stage", required=True, choices=STAGES)
    parser.add_argument("--title", required=True, help="three to seven words")
    parser.add_argument("--prompt", required=True, help=f"what was asked, word for word: {TEXT}")
    parser.add_argument("--response", required=True, help=f"the answer, in short: {TEXT}")
    parser.add_argument("--outcome", required=True, help=f"what is different now: {TEXT}")
    parser.add_argument("--evaluation", default="", help=f"what went well and what did not: {TEXT}")
    parser.add_argument("--next", default="", help=f"what to ask next: {TEXT}")
    parser.add_argument("--feature", help="its name or number (default: the one in work)")
    parser.add_argument("--command", default="", help="the command, such as /sp.plan")
    parser.add_argument("--surface", default="agent", help="where it was asked")
    parser.add_argument("--model", default="unknown", help="who answered")
    parser.add_argument("--user", help="who asked (default: git's user.name)")
    parser.add_argument("--branch", help="default: git's current one")
    parser.add_argument("--label", action="append", default=[], help="may be repeated")
    parser.add_argument("--file", action="append", help="a changed file (default: from git)")
    parser.add_argument("--test", action="append", default=[], help="a check, and its result")
    for name in LINKS:
        parser.add_argument(f"--{name}", help=f"a link to the {name}")
    parser.add_argument("--redact", action="store_true", help="remove what looks like a secret")
    return parser


if __name__ == "__main__":
    run(_parser(), _work)
