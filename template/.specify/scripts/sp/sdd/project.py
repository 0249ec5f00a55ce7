"""Where a project keeps its specs, records and templates, and what git reports about it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdd.command import HOME, Refused

FEATURE = re.compile(r"(\d{3,})-[a-z0-9-]+")
PRINCIPLE = re.compile(r"^\d+\. \*\*(.+?)\.?\*\*", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """A folder with `specs/` and `history/`. Without templates it uses those beside the scripts."""

    root: Path

    @property
    def specs(self) -> Path:
        return self.root / "specs"

    @property
    def prompts(self) -> Path:
        return self.root / "history" / "prompts"

    @property
    def decisions(self) -> Path:
        return self.root / "history" / "adr"

    @property
    def _specify(self) -> Path:
        own = self.root / ".specify"
        return own if (own / "memory").is_dir() else HOME / ".specify"

    def template(self, name: str) -> str:
        path = self._specify / "templates" / "overrides" / f"{name}-template.md"
        return path.read_text(encoding="utf-8")

    def principles(self) -> list[str]:
        """Return the names of the constitution's numbered rules, the project's own last."""
        texts = [
            path.read_text(encoding="utf-8")
            for name in ("constitution.md", "constitution.project.md")
            if (path := self._specify / "memory" / name).is_file()
        ]
        return [name for text in texts for name in PRINCIPLE.findall(text)]

    def shown(self, path: Path) -> str:
        """Return a path as documents write it: relative to the root, with slashes."""
        return path.relative_to(self.root).as_posix()

    def features(self) -> list[Path]:
        folders = self.specs.iterdir() if self.specs.is_dir() else ()
        return sorted(path for path in folders if path.is_dir() and FEATURE.fullmatch(path.name))

    def feature(self, name: str | None) -> Path:
        """Return a feature's folder by its name or number, or the one in work by default.

        Raises:
            Refused: there is none of that name, or nothing says which one is meant.
        """
        known = self.features()
        wanted = name or self._current()
        if wanted is None and len(known) == 1:
            return known[0]
        for folder in known:
            if wanted and (folder.name == wanted or folder.name.split("-")[0] == wanted):
                return folder
        choice = ", ".join(folder.name for folder in known) or "none yet: run new_feature.py"
        raise Refused(f"name the feature with --feature ({choice})")

    def set_current(self, feature: Path) -> None:
        """Store the feature in work, in the file that spec-factory reads as well."""
        if (self.root / ".specify").is_dir():
            pointer = json.dumps({"feature_directory": self.shown(feature)})
            self._pointer.write_text(f"{pointer}\n", encoding="utf-8", newline="\n")

    def _current(self) -> str | None:
        try:
            pointer: dict[str, Any] = json.loads(self._pointer.read_text(encoding="utf-8"))
            return Path(str(pointer["feature_directory"])).name
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def _pointer(self) -> Path:
        return self.root / ".specify" / "feature.json"

    def git(self, *arguments: str) -> str:
        """Return git's output, or nothing without git or a repository."""
        command = shutil.which("git")
        if command is None:
            return ""
        done = subprocess.run(  # noqa: S603 (git, with arguments of our own)
            [command, *arguments],
            cwd=self.root,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.stdout.rstrip() if done.returncode == 0 else ""

    def changed_files(self) -> list[str]:
        """Return the changed and new files below the root, without the records."""
        shown = ("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".")
        entries = self.git(*shown).split("\0")
        prefix = self.git("rev-parse", "--show-prefix")
        paths = (entry[3:].removeprefix(prefix) for entry in entries if entry)
        return sorted(path for path in paths if not path.startswith("history/"))


def numbered(folders: Iterator[Path]) -> Iterator[int]:
    """Return the numbers at the start of the files' and folders' names."""
    for path in folders:
        if match := re.match(r"(\d+)-", path.name):
            yield int(match[1])


def today() -> str:
    return datetime.now(UTC).date().isoformat()
