"""`docs/customize.md` of a project: what it says is done, word for word, and works."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import jinja2
import pytest
from tests.projects import FEATURES, clean_environment
from tests.texts import ROOT, TEMPLATE, blocks_in

PAGE = TEMPLATE / "docs" / "customize.md.jinja"
COPIED = ("app", "pytest.ini", "pyrightconfig.json", "ruff.toml", ".importlinter")
COMMAND = "my-assistant"
MAIN = "from chatkit_engine.cli import main; main()"


def _sections() -> dict[str, str]:
    """Return the page's sections by their headings, as a project with every feature has them."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    page = environment.from_string(PAGE.read_text())
    text = page.render(project_slug=COMMAND, features=FEATURES)
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


SECTIONS = _sections()


class Copy:
    """A copy of the application, in which the page's sections are carried out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "engine").symlink_to(TEMPLATE / "engine")
        for name in COPIED:
            source = TEMPLATE / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.jinja")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder / name)

    def carry_out(self, section: str) -> None:
        for block in blocks_in(SECTIONS[section], PAGE):
            if path := block.value("new"):
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_text(block.code)
            elif "install" in block.words:
                self._add_to_install(block.code)
            else:
                assert block.language == "bash", section
                for line in block.code.splitlines():
                    self.run(*_command(line))

    def _add_to_install(self, code: str) -> None:
        """Put the imports at the top of `app/assistant.py`, the rest at the end of `install`."""
        file = self.folder / "app" / "assistant.py"
        statements = ast.parse(code).body
        imports = [ast.unparse(each) for each in statements if isinstance(each, ast.ImportFrom)]
        calls = [ast.unparse(each) for each in statements if not isinstance(each, ast.ImportFrom)]
        existing = file.read_text()
        first = existing.index("from chatkit_engine")
        head, tail = existing[:first], existing[first:].rstrip("\n")
        lines = [*imports, tail, *(indent(call, "    ") for call in calls)]
        file.write_text(head + "\n".join(lines) + "\n")
        self.run("-m", "ruff", "check", "--no-cache", "--fix", "--select", "I", str(file))
        self.run("-m", "ruff", "format", "--no-cache", str(file))

    def run(self, *command: str, **environment: str) -> str:
        paths = f"{self.folder}:{TEMPLATE / 'engine' / 'src'}"
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=clean_environment() | {"PYTHONPATH": paths} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{output}"
        return output


def _command(line: str) -> list[str]:
    """Return how a command of the page is run here, where nothing is installed."""
    words = shlex.split(line.removeprefix("uv run "))
    if words[0] == COMMAND:
        return ["-c", MAIN, *words[1:]]
    return ["-m", *words]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "project")
    yield copy
    copy.run("-m", "ruff", "check", "--no-cache", "app", "tests")
    copy.run("-m", "ruff", "format", "--check", "--no-cache", "app", "tests")


def _check(copy: Copy, test: str) -> None:
    """Run the application's tests, and one of this repository's own on it."""
    (copy.folder / "tests").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "customized" / test, copy.folder / "tests" / f"test_{test}")
    copy.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "tests")


def test_every_change_works_beside_the_others(copy: Copy) -> None:
    for section in SECTIONS:
        if section != "Use another login":
            copy.carry_out(section)

    greeting = copy.run(*_command("uv run my-assistant greet Ada"))
    copy.run("-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])")
    copy.run("-m", "pyright", "--pythonpath", sys.executable, "app", "tests")
    _check(copy, "changes.py")

    assert greeting == "Hello Ada, this is ChatKit backend.\n"


def test_another_login_works(copy: Copy) -> None:
    for section in ("Add a setting", "Add a route", "Use another login"):
        copy.carry_out(section)

    _check(copy, "login.py")
