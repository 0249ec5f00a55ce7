"""`make release`: check that the version can be released, and tag it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tag = f"v{version}"
    if _git("status", "--porcelain"):
        sys.exit("There are changes that are not committed.")
    if tag in _git("tag", "--list").split():
        sys.exit(f"{tag} exists already. Raise the version in pyproject.toml.")
    heading = re.search(
        rf"^## {re.escape(version)} \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    if heading is None or heading.group(1) == "unreleased":
        sys.exit(f"CHANGELOG.md needs a heading such as '## {version} (2026-01-31)'.")
    _git("tag", "--annotate", tag, "--message", f"copier-chatkit {version}")
    print(f"Tagged {tag}. Publish it with: git push origin {tag}")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
