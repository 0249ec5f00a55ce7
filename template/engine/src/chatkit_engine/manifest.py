"""Finds the engine's files that were edited since its release.

`manifest.json` has a hash of each file below `engine/`. `doctor` reports edited files, because an
update of the engine has to merge them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PACKAGE = Path(__file__).parent
ENGINE = PACKAGE.parents[1]
FILE = PACKAGE / "manifest.json"
IGNORED = frozenset({"__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", ".venv", "data"})
FEATURES = ("src/chatkit_engine/features/", "tests/features/")


@dataclass(frozen=True)
class Changes:
    """How the engine's files differ from the release, by their paths below `engine/`."""

    version: str
    edited: list[str]
    missing: list[str]
    added: list[str]

    def __str__(self) -> str:
        """Return one line such as `0.1.0, 1 file edited: src/chatkit_engine/i18n.py`."""
        kinds = {"edited": self.edited, "missing": self.missing, "added": self.added}
        parts = [
            f"{len(files)} {'file' if len(files) == 1 else 'files'} {kind}: {', '.join(files)}"
            for kind, files in kinds.items()
            if files
        ]
        return f"{self.version}, {'; '.join(parts) or 'as released'}"


def changes(engine: Path = ENGINE) -> Changes | None:
    """Compare the files with the manifest. Return None if only the package is installed."""
    if not (engine / "pyproject.toml").is_file():
        return None
    released = json.loads(FILE.read_text())
    hashes: dict[str, str] = released["files"]
    here = {path: hash_of(engine / path) for path in _paths(engine)}
    return Changes(
        version=released["version"],
        edited=[path for path in here if path in hashes and here[path] != hashes[path]],
        missing=[path for path in hashes if path not in here and not _is_off(engine, path)],
        added=[path for path in here if path not in hashes],
    )


def write(version: str, engine: Path = ENGINE) -> None:
    """Write the manifest of the files as they are now."""
    files = {path: hash_of(engine / path) for path in _paths(engine)}
    FILE.write_text(json.dumps({"version": version, "files": files}, indent=1) + "\n")


def hash_of(file: Path) -> str:
    """Return a hash that does not depend on the line endings that git checked out."""
    return sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _paths(engine: Path) -> Iterator[str]:
    for path in sorted(engine.rglob("*")):
        relative = path.relative_to(engine)
        is_ignored = IGNORED.intersection(relative.parts) or path.suffix in (".pyc", ".pyo")
        if path.is_file() and not is_ignored and path.name != FILE.name:
            yield relative.as_posix()


def _is_off(engine: Path, path: str) -> bool:
    """Return whether a missing file belongs to a feature whose whole folder is missing."""
    for folder in FEATURES:
        name, slash, _ = path.removeprefix(folder).partition("/")
        if path.startswith(folder) and slash:
            return not (engine / folder / name).is_dir()
    return False
