"""Begins a feature: creates its numbered folder in `specs/`, and its spec from the template."""

import argparse

from sdd.command import Answer, Parser, Refused, run
from sdd.project import Project
from sdd.stages import new_feature


def _work(arguments: argparse.Namespace) -> Answer:
    if not arguments.description.strip():
        raise Refused("describe the feature in a sentence")
    project = Project(arguments.root.absolute())
    if arguments.branch and not project.git("rev-parse", "--git-dir"):
        raise Refused("there is no git repository for --branch: run `git init` first")
    folder, is_new = new_feature(project, arguments.description, arguments.name)
    project.set_current(folder)
    if arguments.branch:
        _switch(project, folder.name)
    shown = project.shown(folder / "spec.md")
    made = "created" if is_new else "exists already and was kept"
    return {
        "feature": folder.name,
        "spec": shown,
        "created": is_new,
        "text": f"{shown} {made}. Fill it in, then: check.py spec",
    }


def _switch(project: Project, name: str) -> None:
    if project.git("rev-parse", "--verify", "--quiet", f"refs/heads/{name}"):
        project.git("switch", "--quiet", name)
    else:
        project.git("switch", "--quiet", "--create", name)
    if project.git("branch", "--show-current") != name:
        raise Refused(f"git did not switch to the branch {name}: commit or stash first")


if __name__ == "__main__":
    parser = Parser(__doc__ or "")
    parser.add_argument("description", help="what the feature is, in a sentence")
    parser.add_argument("--name", help="the short name (default: from the description)")
    parser.add_argument("--branch", action="store_true", help="create and switch to a git branch")
    run(parser, _work)
