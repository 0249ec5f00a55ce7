"""Creates a feature's tasks from the template, once its plan is complete."""

import argparse

from sdd.command import Answer, Parser, run
from sdd.project import Project
from sdd.stages import make


def _work(arguments: argparse.Namespace) -> Answer:
    project = Project(arguments.root.absolute())
    feature = project.feature(arguments.feature)
    path, is_new = make(project, feature, "tasks")
    shown = project.shown(path)
    made = "created" if is_new else "exists already and was kept"
    return {
        "feature": feature.name,
        "tasks": shown,
        "created": is_new,
        "text": f"{shown} {made}. Fill it in, then: check.py tasks",
    }


if __name__ == "__main__":
    parser = Parser(__doc__ or "")
    parser.add_argument("--feature", help="its name or number (default: the one in work)")
    run(parser, _work)
