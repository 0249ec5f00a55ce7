"""Compares what is installed with what each skill was verified against.

    uv run --no-sync python .claude/skills/tech-stack-constraints/scripts/check_versions.py

Exits with 1 where a skill was verified against another minor version, or a package is gone.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SKILLS = Path(__file__).absolute().parents[2]
VERIFIED = re.compile(r"^  verified-against: (.+)$", re.MULTILINE)
PAIR = re.compile(r"^([A-Za-z0-9-]+) (\d+)(?:\.(\d+))?")


def main() -> None:
    problems = [
        f"{skill.parent.name}: {problem}"
        for skill in sorted(SKILLS.glob("*/SKILL.md"))
        for problem in _problems(skill.read_text(encoding="utf-8"))
    ]
    print("\n".join(problems) or "every skill was verified against these versions")
    sys.exit(1 if problems else 0)


def _problems(text: str) -> list[str]:
    found = VERIFIED.search(text)
    if found is None:
        return ["it does not say what it was verified against"]
    pairs = [pair.groups() for each in found[1].split(", ") if (pair := PAIR.match(each))]
    return [problem for pair in pairs if (problem := _problem(*pair))]


def _problem(name: str, major: str, minor: str | None) -> str | None:
    """Return what is different, where it is more than a patch."""
    try:
        installed = _python() if name == "Python" else version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    verified = [major] if minor is None else [major, minor]
    if name == "Python":
        is_known = tuple(map(int, installed.split("."))) >= tuple(map(int, verified))
    else:
        is_known = installed.split(".")[: len(verified)] == verified
    return None if is_known else f"{name} {installed} is installed, verified: {'.'.join(verified)}"


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


main()
