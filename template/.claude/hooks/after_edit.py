"""After an edit: formats and lints the Python file, and runs the quick tests that belong to it."""

import os
import subprocess
from pathlib import Path

from hook import ROOT, Event, edited_file, edits_of, run, tell
from nearest_tests import nearest_tests

TEST_SECONDS = 60
NO_TESTS_COLLECTED = 5
LONGEST = 4000
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# Without bytecode, because Python takes a stale .pyc for current if two edits in the same second
# leave a file of the same size.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
# Unused names are reported but kept, because the next edit often uses them.
RUFF_CHECK = ("ruff", "check", "--quiet", "--fix", "--unfixable", "F401,F841")
PYTEST = (
    "pytest",
    "-q",
    "-x",
    "-n",
    "0",
    "-m",
    "not slow",
    "--no-header",
    "-p",
    "no:cacheprovider",
)


def _after_edit(event: Event) -> None:
    path = edited_file(event)
    if path is None:
        return
    _note(event, path)
    if path.suffix != ".py" or not path.is_file() or not PYTHON.exists():
        return
    _module("ruff", "format", "--quiet", str(path))
    problems = _module(*RUFF_CHECK, "--output-format", "concise", str(path))
    failures = problems or _tests(path)
    if failures:
        tell(failures[-LONGEST:])


def _note(event: Event, path: Path) -> None:
    """Note the edit, so that `remind_of_record` knows of it. Edits of the records do not count."""
    if path.is_relative_to(ROOT / "history"):
        return
    notes = edits_of(event)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("a", encoding="utf-8") as file:
        file.write(f"{path.relative_to(ROOT).as_posix()}\n")


def _tests(path: Path) -> str:
    found = nearest_tests(ROOT, path.relative_to(ROOT))
    if not found:
        return ""
    return _module(*PYTEST, *(str(test) for test in found), good=(0, NO_TESTS_COLLECTED))


def _module(*arguments: str, good: tuple[int, ...] = (0,)) -> str:
    """Run a module in the project's environment. Return its output if it failed, else nothing."""
    try:
        done = subprocess.run(  # noqa: S603 (the project's own tools)
            [str(PYTHON), "-m", *arguments],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TEST_SECONDS,
            env=ENVIRONMENT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return "" if done.returncode in good else done.stdout + done.stderr


if __name__ == "__main__":
    run(_after_edit)
