"""The scripts of spec-driven development and the tools that check a project, as commands."""

import subprocess
import sys
from pathlib import Path

from tests.projects import ROOT

TEMPLATE = ROOT / "template"
SCRIPTS = TEMPLATE / ".specify/scripts/sp"
OVERRIDES = TEMPLATE / ".specify/templates/overrides"


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def script(root: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
