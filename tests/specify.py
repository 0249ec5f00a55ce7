"""The scripts of spec-driven development, run as a command line runs them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template"
SCRIPTS = TEMPLATE / ".specify" / "scripts" / "sp"


@dataclass(frozen=True)
class Ran:
    """How a script ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@dataclass(frozen=True)
class Specs:
    """A folder with specs and a history, and the scripts that work on it."""

    root: Path

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, SCRIPTS / f"{script}.py", "--root", self.root, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=self.root,
        )

    def run(self, script: str, *arguments: str, stdin: str = "") -> Ran:
        process = self.start(script, *arguments)
        out, err = process.communicate(stdin)
        return Ran(process.returncode, out, err)

    def ok(self, script: str, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """Run a script that is to succeed, and return its answer."""
        ran = self.run(script, "--json", *arguments, stdin=stdin)
        assert ran.code == 0, ran.out + ran.err
        return ran.json

    def refused(self, script: str, *arguments: str, stdin: str = "") -> str:
        """Run a script that is to fail, and return the one line that it says."""
        ran = self.run(script, *arguments, stdin=stdin)
        assert ran.code == 1, ran.out + ran.err
        assert ran.out == ""
        assert ran.err.count("\n") == 1, ran.err
        return ran.err

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def change(self, path: str, before: str, after: str) -> None:
        text = self.read(path)
        assert before in text
        (self.root / path).write_text(text.replace(before, after), encoding="utf-8")

    def fill(self, path: str) -> None:
        """Put something into every place, tick every box, and name a file in each task."""
        text = self.read(path)
        while "[[" in text:
            before, _, rest = text.partition("[[")
            text = f"{before}said in `tests/test_it.py`{rest.partition(']]')[2]}"
        (self.root / path).write_text(text.replace("- [ ]", "- [x]"), encoding="utf-8")

    def specified(self, description: str = "Tags on threads") -> str:
        """Begin a feature and complete its spec."""
        folder = f"specs/{self.ok('new_feature', description)['feature']}"
        self.fill(f"{folder}/spec.md")
        self.fill(f"{folder}/checklists/requirements.md")
        return folder
