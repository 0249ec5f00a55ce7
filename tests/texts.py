"""The code in what Claude Code and people read: every fenced block, and how it is shown to be true.

    ```python                     runs, in a folder of its own, without a key
    ```python wrong               fails
    ```python file=app/main.py    is part of that file, word for word
    ```python new=app/tools/x.py  is a file that a recipe adds
    ```diff                       is a change that a recipe makes
    ```bash                       runs in a rendered project; `norun=REASON` says why one does not
    ```ts                         passes the type checker, with ChatKit's own types

A recipe is a section whose heading begins with "Recipe:". Its blocks are carried out in order, and
the last one is `CHECKS`. In a table with the columns "Wrong" and "Right" each row has code in both:
the first fails and the second runs, each after the last block `python setup` before the table.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template"
ENGINE = TEMPLATE / "engine" / "src" / "chatkit_engine"
# For processes that run `template/` where it stands.
PYTHONPATH = os.pathsep.join([str(TEMPLATE), str(ENGINE.parent)])
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)
SPAN = re.compile(r"``(.+?)``|`(.+?)`")
RECIPE = "Recipe:"
CHECKS = """\
uv run ruff check . && uv run ruff format --check .
uv run pyright app tests
uv run lint-imports
uv run pytest
"""
TEXTS = sorted(
    [
        *TEMPLATE.glob(".claude/**/*.md"),
        *TEMPLATE.glob(".specify/**/*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*.md"),
        *ROOT.glob("bench/*.md"),
        *TEMPLATE.glob("*.md*"),
        *TEMPLATE.glob("docs/**/*.md*"),
    ]
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what its first line says of it, and the code."""

    text: Path
    line: int
    language: str
    words: frozenset[str]
    values: tuple[tuple[str, str], ...]
    code: str
    recipe: str | None = None

    def value(self, name: str) -> str | None:
        return dict(self.values).get(name)

    @property
    def place(self) -> str:
        return f"{self.text.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Row:
    """A row of a table of what is wrong and what is right, with the code that comes before both."""

    text: Path
    line: int
    setup: str
    wrong: str
    right: str

    @property
    def place(self) -> str:
        return f"{self.text.relative_to(ROOT)}:{self.line}"


def blocks_of(text: Path) -> list[Block]:
    return blocks_in(text.read_text(), text)


def blocks_in(content: str, text: Path) -> list[Block]:
    """Return the blocks of a text, or of a part of it, that stands in the file."""
    return [_block(text, content, found) for found in FENCE.finditer(content)]


def all_blocks() -> list[Block]:
    return [block for text in TEXTS for block in blocks_of(text)]


def recipes() -> dict[str, list[Block]]:
    """Return the blocks of each recipe, by its place and name."""
    found: dict[str, list[Block]] = {}
    for block in all_blocks():
        if block.recipe:
            name = f"{block.text.relative_to(ROOT)}: {block.recipe}"
            found.setdefault(name, []).append(block)
    return found


def rows_of(text: Path) -> Iterator[Row]:
    content = text.read_text()
    setups = [block for block in blocks_of(text) if "setup" in block.words]
    outside = FENCE.sub(lambda found: "\n" * found.group().count("\n"), content)
    header: list[str] = []
    for found in ROW.finditer(outside):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", found.group(1))]
        line = outside.count("\n", 0, found.start()) + 1
        if not outside[: found.start()].endswith("|\n"):
            header = [cell.lower() for cell in cells]
        elif header[:2] == ["wrong", "right"] and not set(cells[0]) <= set(":- "):
            before = [block.code for block in setups if block.line < line]
            yield Row(text, line, (before or [""])[-1], _code(cells[0]), _code(cells[1]))


def _block(text: Path, content: str, found: re.Match[str]) -> Block:
    language, *words = shlex.split(found["info"]) or [""]
    indent = len(found["indent"])
    code = "".join(line[indent:] for line in found["code"].splitlines(keepends=True))
    return Block(
        text,
        content.count("\n", 0, found.start()) + 1,
        language,
        frozenset(word for word in words if "=" not in word),
        tuple((name, value) for name, _, value in (w.partition("=") for w in words if "=" in w)),
        code,
        _recipe_at(content, found.start()),
    )


def _recipe_at(content: str, position: int) -> str | None:
    """Return the recipe that the position stands in: the nearest heading that is one, or within."""
    level, name = 0, None
    outside = FENCE.sub(lambda found: " " * len(found.group()), content)
    for heading in HEADING.finditer(outside[:position]):
        depth, title = len(heading[1]), heading[2]
        if title.startswith(RECIPE):
            level, name = depth, title
        elif depth <= level:
            level, name = 0, None
    return name


def _code(cell: str) -> str:
    return "\n".join(first or second for first, second in SPAN.findall(cell.replace("\\|", "|")))
