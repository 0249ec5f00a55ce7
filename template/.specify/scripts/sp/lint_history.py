"""Checks every Prompt History Record and every ADR, and the references between them."""

import argparse

from sdd.command import Answer, Parser, run
from sdd.history import check_history
from sdd.project import Project


def _work(arguments: argparse.Namespace) -> Answer:
    count, found = check_history(Project(arguments.root.absolute()))
    lines = [str(problem) for problem in found]
    return {
        "records": count,
        "complete": not found,
        "problems": lines,
        "text": "\n".join(lines) or f"{count} records, all complete",
    }


if __name__ == "__main__":
    run(Parser(__doc__ or ""), _work)
