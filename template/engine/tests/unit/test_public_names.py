"""The rule that an application and its tests import public names of the engine only."""

import sys
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest
from grimp import ImportGraph
from importlinter import ContractCheck

import chatkit_engine
from chatkit_engine import testing
from chatkit_engine.testing.public_names import PublicNamesContract, private_imports

PRIVATE = "from chatkit_engine.assistant.context import TurnContext\n"
PUBLIC = """
import chatkit_engine
import chatkit_engine.testing.app
from chatkit_engine import TurnContext, testing
from chatkit_engine.testing import Reply
from chatkit_engine_of_another_project.store import rows
"""


def _advice(folder: Path, source: str) -> list[str]:
    file = folder / "test_it.py"
    file.write_text(source)
    return [each.advice for each in private_imports(file)]


def test_public_names_may_be_imported(tmp_path: Path) -> None:
    assert _advice(tmp_path, PUBLIC) == []


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (PRIVATE, "Write `from chatkit_engine import TurnContext`."),
        (
            "from chatkit_engine.errors import Conflict, NotFound\n",
            "Write `from chatkit_engine import Conflict, NotFound`.",
        ),
        (
            "import chatkit_engine.store\n",
            "Write `import chatkit_engine`: chatkit_engine.store is private.",
        ),
    ],
)
def test_a_private_import_of_a_public_name_is_told_how_to_write_it(
    tmp_path: Path, source: str, advice: str
) -> None:
    assert _advice(tmp_path, source) == [advice]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from chatkit_engine.store.leases import forget\n", "forget"),
        ("from chatkit_engine import store\n", "store"),
        ("from chatkit_engine.errors import AppError, problem\n", "problem"),
    ],
)
def test_a_name_that_is_not_public_is_told_where_the_hooks_are(
    tmp_path: Path, source: str, name: str
) -> None:
    [advice] = _advice(tmp_path, source)

    assert advice.startswith(f"{name} is private")
    assert "the hooks are in engine/README.md" in advice


def test_imports_inside_functions_are_found_too(tmp_path: Path) -> None:
    assert len(_advice(tmp_path, f"def later():\n    {PRIVATE}")) == 1


Checked = tuple[PublicNamesContract, ContractCheck]


def _check(*, importers: list[str], folders: list[str]) -> Checked:
    options = {"name": "public", "importers": importers, "folders": folders}
    contract = PublicNamesContract("public", {}, options)
    graph = ImportGraph()
    for module in ("rulebreaker", "rulebreaker.tools"):
        graph.add_module(module)
    return contract, contract.check(graph, verbose=False)


def test_the_contract_looks_into_packages_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("rulebreaker", "tests/tools"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "rulebreaker/__init__.py").touch()
    (tmp_path / "rulebreaker/tools.py").write_text(f"\n{PRIVATE}")
    (tmp_path / "tests/tools/test_it.py").write_text(PRIVATE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    contract, check = _check(importers=["rulebreaker"], folders=["tests"])
    contract.render_broken_contract(check)

    told = " ".join(capsys.readouterr().out.split())
    assert not check.kept
    assert "rulebreaker/tools.py, line 2: from chatkit_engine.assistant" in told
    assert "tests/tools/test_it.py, line 1: from chatkit_engine.assistant" in told
    assert told.count("Write `from chatkit_engine import TurnContext`.") == 2


def test_the_contract_is_kept_where_nothing_private_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(PUBLIC)
    monkeypatch.chdir(tmp_path)

    assert _check(importers=[], folders=["tests", "not-there"])[1].kept


@pytest.mark.parametrize("package", [chatkit_engine, testing])
def test_no_public_name_is_hidden_by_a_module_of_the_same_name(package: ModuleType) -> None:
    modules = {module.name for module in iter_modules(package.__path__)}

    assert modules.isdisjoint(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
