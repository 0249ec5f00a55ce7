"""Compares what is installed with what each skill was verified against.

    uv run --no-sync python .claude/skills/tech-stack-constraints/scripts/check_versions.py

Tells of each package that has another minor version, or is absent (a feature may be off). Exits
with 1 where one has another major version.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SKILLS = Path(__file__).absolute().parents[2]
VERIFIED = re.compile(r"^  verified-against: (.+)$", re.MULTILINE)
PAIR = re.compile(r"^([A-Za-z0-9-]+) (\d+)(?:\.(\d+))?")


def main() -> None:
    failed = False
    for skill in sorted(SKILLS.glob("*/SKILL.md")):
        for name, verified in _verified(skill.read_text(encoding="utf-8")):
            installed = _installed(name)
            if installed[: len(verified)] != verified:
                print(f"{skill.parent.name}: {name} {_said(installed)}, verified {_said(verified)}")
                failed = failed or installed[:1] not in ([], verified[:1])
    print("read what has changed" if failed else "no package has another major version")
    sys.exit(1 if failed else 0)


def _verified(text: str) -> list[tuple[str, list[str]]]:
    found = VERIFIED.search(text)
    pairs = [PAIR.match(each) for each in found[1].split(", ")] if found else []
    return [(pair[1], [part for part in pair.groups()[1:] if part]) for pair in pairs if pair]


def _installed(name: str) -> list[str]:
    if name == "Python":
        return [str(sys.version_info.major), str(sys.version_info.minor)]
    try:
        return version(name).split(".")[:2]
    except PackageNotFoundError:
        return []


def _said(parts: list[str]) -> str:
    return ".".join(parts) or "is not installed"


main()
