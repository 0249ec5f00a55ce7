"""Writes an Architecture Decision Record, or says with --test whether a decision needs one."""

import argparse

from sdd.command import Answer, Parser, Refused, run, text_of
from sdd.decision_checks import STATUSES
from sdd.decisions import Decision, Option, write_decision
from sdd.project import Project
from sdd.significance import PARTS, significance

TEXT = "a text, @FILE, or - for stdin"
NEEDED = ("title", "context", "decision", "consequences", "agreed_by")
EXAMPLE = "NAME :: reasons for it :: reasons against it"


def _work(arguments: argparse.Namespace) -> Answer:
    answers = dict(_pair(text) for text in arguments.test or arguments.significance)
    if arguments.test:
        verdict = significance(answers)
        reasons = {"significant": verdict.significant, "reasons": verdict.reasons}
        return reasons | {"text": str(verdict)}
    if missing := [name for name in NEEDED if not getattr(arguments, name)]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise Refused(f"an ADR needs {names.replace('--title', 'a title')}")
    project = Project(arguments.root.absolute())
    path = write_decision(project, _decision(project, arguments, answers))
    shown = project.shown(path)
    return {"path": shown, "status": arguments.status, "text": f"wrote {shown}"}


def _decision(project: Project, arguments: argparse.Namespace, answers: dict[str, str]) -> Decision:
    feature = project.feature(arguments.feature).name if arguments.feature else None
    return Decision(
        title=arguments.title,
        context=text_of(arguments.context),
        significance=answers,
        options=tuple(_option(text) for text in arguments.option),
        decision=text_of(arguments.decision),
        consequences=text_of(arguments.consequences),
        agreed_by=arguments.agreed_by,
        status=arguments.status,
        feature=feature,
        supersedes=arguments.supersedes,
        links=dict(map(_pair, arguments.link)),
    )


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise Refused(f"write NAME=VALUE, not '{text}'")
    return name, value


def _option(text: str) -> Option:
    parts = [part.strip(" .") for part in text.split("::")]
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004
        raise Refused(f"write an option as '{EXAMPLE}'")
    return Option(*parts)


def _parser() -> Parser:
    parts = "; ".join(f"{part}: {meaning}" for part, meaning in PARTS.items())
    parser = Parser(f"{__doc__} The test has three parts, and all must hold: {parts}.")
    parser.add_argument("title", nargs="?", help="what was decided, in a few words")
    parser.add_argument(
        "--test", nargs="+", metavar="PART=yes|no:WHY", help="only say whether it needs an ADR"
    )
    parser.add_argument("--significance", nargs="+", default=[], metavar="PART=yes:WHY")
    parser.add_argument("--context", help=f"why a decision was necessary: {TEXT}")
    parser.add_argument("--option", action="append", default=[], metavar="TEXT", help=EXAMPLE)
    parser.add_argument("--decision", help=f"what was decided, and why: {TEXT}")
    parser.add_argument("--consequences", help=f"the consequences, including bad ones: {TEXT}")
    parser.add_argument("--agreed-by", help="the person who agreed to the record")
    parser.add_argument("--status", default="accepted", choices=STATUSES[:2])
    parser.add_argument("--supersedes", metavar="NNNN", help="the ADR that this one replaces")
    parser.add_argument("--feature", help="the name or number of the feature that it came from")
    parser.add_argument("--link", action="append", default=[], metavar="NAME=TARGET")
    return parser


if __name__ == "__main__":
    run(_parser(), _work)
