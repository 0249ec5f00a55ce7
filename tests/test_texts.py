"""The code in agents, skills and documents runs, or fails where they say that it does."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.projects import Project, clean_environment
from tests.texts import (
    CHECKS,
    PYTHONPATH,
    ROOT,
    TEMPLATE,
    TEXTS,
    Block,
    Row,
    all_blocks,
    recipes,
    rows_of,
)

from tests import type_checker

Run = Callable[[str], tuple[bool, str]]

BLOCKS = all_blocks()
ROWS = [row for text in TEXTS for row in rows_of(text)]
RECIPES = recipes()
CODE = ("python", "bash", "ts", "diff")
# `tests/test_customize.py` carries its blocks out.
CHANGES = TEMPLATE / "docs" / "customize.md.jinja"
NOT_CODE = ("", "html", "json", "nginx", "po", "text")


def _params(found: list[Block]) -> list[object]:
    return [pytest.param(block, id=block.place) for block in found]


def _kind(block: Block) -> str:
    """Return how the block is shown to be true; a block of no kind is an error."""
    if block.text == CHANGES or (block.recipe and block.language in (*CODE, "sh")):
        return "change" if block.text == CHANGES else "recipe"
    match block.language:
        case "python" if block.value("file"):
            return "excerpt"
        case "python":
            return "wrong" if "wrong" in block.words else "python"
        case "bash" | "sh":
            return _kind_of_shell(block)
        case "ts" | "tsx":
            return "ts"
        case _:
            return "no code"


def _kind_of_shell(block: Block) -> str:
    if block.code == CHECKS:
        return "checks"
    return "not run" if block.value("norun") else "bash"


KINDS = {block: _kind(block) for block in BLOCKS}


def _of(kind: str) -> list[Block]:
    return [block for block in BLOCKS if KINDS[block] == kind]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Give a function that runs a piece of Python as it stands, with the demo model."""
    environment = clean_environment() | {"PYTHONPATH": PYTHONPATH}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "run_code.py")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def run_code(code: str) -> tuple[bool, str]:
        print(json.dumps({"code": code}), file=stdin, flush=True)
        answer = json.loads(stdout.readline())
        return answer["ok"], answer["output"]

    with process:
        yield run_code
        stdin.close()


@pytest.mark.parametrize("block", _params(_of("python")))
def test_a_block_of_python_runs(run: Run, block: Block) -> None:
    ok, output = run(block.code)

    assert ok, output


@pytest.mark.parametrize("block", _params(_of("wrong")))
def test_a_block_that_is_wrong_fails(run: Run, block: Block) -> None:
    ok, _ = run(block.code)

    assert not ok


@pytest.mark.parametrize("block", _params(_of("excerpt")))
def test_an_excerpt_stands_in_its_file(block: Block) -> None:
    file = TEMPLATE / str(block.value("file"))

    assert block.code.strip("\n") in file.read_text()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.place) for row in ROWS])
@pytest.mark.parametrize("side", ["wrong", "right"])
def test_what_a_table_calls_wrong_fails_and_what_it_calls_right_runs(
    run: Run, row: Row, side: str
) -> None:
    code = row.wrong if side == "wrong" else row.right
    assert code, "both cells of the row need code"

    ok, output = run(f"{row.setup}\n{code}")

    assert ok == (side == "right"), output


@pytest.mark.parametrize("block", _params(_of("bash")))
def test_a_block_of_shell_runs_in_a_project(lived_in: Project, block: Block) -> None:
    _shell(lived_in, block.code)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_works_by_itself(lived_in: Project, name: str) -> None:
    """The tests that the recipe adds pass. `CHECKS` runs once, for all recipes together."""
    *steps, _ = RECIPES[name]
    for block in steps:
        _carry_out(lived_in, block)

    added = [str(block.value("new")) for block in steps if block.value("new")]
    tests = [path for path in added if Path(path).name.startswith("test_")]
    assert tests, "a recipe adds a test"
    lived_in.uv_run("pytest", "-q", "-n", "0", *tests)


def test_all_recipes_together_pass_the_projects_checks(lived_in: Project) -> None:
    for *steps, _ in RECIPES.values():
        for block in steps:
            _carry_out(lived_in, block)

    _shell(lived_in, CHECKS)


def test_each_recipe_ends_with_the_projects_checks() -> None:
    for name, blocks in RECIPES.items():
        assert (blocks[-1].language, blocks[-1].code) == ("bash", CHECKS), name


def _carry_out(project: Project, block: Block) -> None:
    """Do what a block of a recipe says: write its file, change what it changes, or run it."""
    if block.value("new"):
        project.write(str(block.value("new")), block.code)
    elif block.language == "diff":
        project.write("recipe.diff", block.code)
        project.run("git", "apply", "--unidiff-zero", "recipe.diff")
        (project.folder / "recipe.diff").unlink()
    else:
        assert block.language == "bash", f"{block.place}: a recipe does not know what to do"
        _shell(project, block.code)


def _shell(project: Project, code: str) -> None:
    project.run("bash", "-euo", "pipefail", "-c", code, UV_NO_SYNC="1")


def test_the_blocks_of_typescript_pass_the_type_checker(types: Path) -> None:
    assert type_checker.check(types, _of("ts")) == ""


def test_a_wrong_block_of_typescript_is_named_by_its_place(types: Path) -> None:
    code = 'import type { ColorScheme } from "@openai/chatkit";\n\nconst no: ColorScheme = 5;\n'
    block = Block(TEXTS[0], 10, "ts", frozenset(), (), code)

    told = type_checker.check(types, [block])

    assert told.startswith(f"{TEXTS[0].relative_to(ROOT)}:13:7: error TS2322")


def test_it_is_said_that_node_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(type_checker, "WHEEL", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(AssertionError, match="install Node"):
        type_checker.install(tmp_path)


def test_no_block_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = [
        block.place
        for block in BLOCKS
        if KINDS[block] == "no code" and block.language not in NOT_CODE
    ]
    counted = Counter(KINDS.values())
    with capsys.disabled():
        told = ", ".join(f"{kind}: {count}" for kind, count in sorted(counted.items()))
        print(f"\nblocks {told}; rows: {len(ROWS)}; recipes: {len(RECIPES)}", end=" ")

    assert unknown == []
