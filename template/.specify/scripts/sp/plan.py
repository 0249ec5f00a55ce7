"""Creates a feature's plan from the template, once its spec is complete."""

import argparse

from sdd.command import Answer, Parser, run
from sdd.project import Project
from sdd.stages import make


def _work(arguments: argparse.Namespace) -> Answer:
    project = Project(arguments.root.absolute())
    feature = project.feature(arguments.feature)
    path, is_new = make(project, feature, "plan")
    shown = project.shown(path)
    made = "created" if is_new else "exists already and was kept"
    return {
        "feature": feature.name,
        "plan": shown,
        "created": is_new,
        "text": f"{shown} {made}. Fill it in, then: check.py plan",
    }


if __name__ == "__main__":
    parser = Parser(__doc__ or "")
    parser.add_argument("--feature", help="its name or number (default: the one in work)")
    run(parser, _work)
