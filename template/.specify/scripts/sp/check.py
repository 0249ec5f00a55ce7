"""Says whether a stage of a feature is complete, and if not, what is missing and where."""

import argparse

from sdd.command import Answer, Parser, run
from sdd.project import Project
from sdd.stage_checks import check
from sdd.stages import DOCUMENTS


def _work(arguments: argparse.Namespace) -> Answer:
    project = Project(arguments.root.absolute())
    feature = project.feature(arguments.feature)
    found = check(project, feature, arguments.stage)
    lines = [str(problem) for problem in found]
    return {
        "feature": feature.name,
        "stage": arguments.stage,
        "complete": not found,
        "problems": lines,
        "text": "\n".join(lines) or f"{feature.name}: {arguments.stage} is complete",
    }


if __name__ == "__main__":
    parser = Parser(__doc__ or "")
    parser.add_argument("stage", choices=(*DOCUMENTS, "implement"))
    parser.add_argument("--feature", help="its name or number (default: the one in work)")
    run(parser, _work)
