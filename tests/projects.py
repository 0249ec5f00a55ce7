"""Rendered projects: how to make one, and how to run what was made."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import copier
import yaml

ROOT = Path(__file__).parents[1]
FEATURES: list[str] = list(
    yaml.safe_load((ROOT / "copier.yml").read_text())["features"]["choices"].values()
)
PRESETS: dict[str, dict[str, Any]] = {
    "full": {"features": FEATURES},
    "empty": {
        "features": [],
        "database": "postgres",
        "provider": "gemini",
        "project_name": "3D Chat 2",
    },
}
# Where a project is rendered: also at a path with spaces.
PLACES = {"full": "full", "empty": "my own projects/2nd try"}


@dataclass
class Project:
    """A rendered project in a folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, **environment: str) -> str:
        """Run a command in the project and return what it printed; a failure shows all of it."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment() | self._own | self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = result.stdout + result.stderr
        assert result.returncode == 0, f"{' '.join(command)}\n{output}"
        return output

    @property
    def _own(self) -> dict[str, str]:
        """Return where `uv` is found."""
        return {"PATH": os.pathsep.join([str(Path(uv()).parent), os.environ["PATH"]])}

    def uv(self, *arguments: str, **environment: str) -> str:
        return self.run(uv(), *arguments, **environment)

    def uv_run(self, *command: str, **environment: str) -> str:
        """Run a command of the project's environment as it is installed."""
        return self.uv("run", "--no-sync", *command, **environment)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        return self.run("git", *identity, *arguments)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)


def uv() -> str:
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"


def clean_environment() -> dict[str, str]:
    """Return this environment without what would change a project's behaviour."""
    ours = (
        *("VIRTUAL_ENV", "PYTHON", "OPENAI_", "LLM_", "PYTEST_", "UV_PROJECT", "GIT_"),
        "PROTOCOL_RECORDINGS",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def render(source: Path, folder: Path, ref: str = "HEAD", **answers: Any) -> Project:
    copier.run_copy(
        str(source), folder, data=answers, defaults=True, quiet=True, vcs_ref=ref, overwrite=True
    )
    return Project(folder)
